"""The commands that the setup documents print, run by real curl as they are printed, hosts and secrets filled in.

Segment's guide makes a token for a service principal; Databricks' Partner Connect guide lists service principals, makes
a token and deletes one, with a .netrc file and jq; Adobe's guide gets and refreshes the credentials of a landing zone.
"""

import json
import os
import shutil
import subprocess

from harness import landing_zone
from harness.landing_zone import LandingZone
from harness.procs import require
from harness.workspace import Workspace

SEGMENT_TOKEN = """curl --location '<DATABRICKS_WORKSPACE_URL>/api/2.0/token-management/on-behalf-of/tokens' --header 'Content-Type: application/json' --header 'Authorization: Bearer <WORKSPACE_ADMIN_TOKEN>' --data '{"application_id": "<SERVICE_PRINCIPAL_APPLICATION_ID>", "lifetime_seconds": <LIFETIME_SECONDS>, "comment": "<COMMENT>"}'"""
PARTNER_LIST = r"""curl --netrc --request GET \
https://<databricks-instance>/api/2.0/preview/scim/v2/ServicePrincipals \
| jq '[ .Resources[] | { displayName: .displayName, applicationId: .applicationId } ]'"""
PARTNER_TOKEN = r"""curl --netrc --request POST \
https://<databricks-instance>/api/2.0/token-management/on-behalf-of/tokens \
--data @create-token.json \
| jq '[ . | { token_value: .token_value } ]'"""
PARTNER_FILE = """{
  "application_id": "<application-id>",
  "comment": "Partner Connect",
  "lifetime_seconds": 1209600
}
"""
PARTNER_DELETE = r"""curl --netrc --request DELETE \
https://<databricks-instance>/api/2.0/preview/scim/v2/ServicePrincipals/<application-id>"""
ADOBE_GET = r"""curl -X GET \
  'https://platform.adobe.io/data/foundation/connectors/landingzone/credentials?type=dlz_databricks_source' \
  -H 'Authorization: Bearer {ACCESS_TOKEN}' \
  -H 'x-api-key: {API_KEY}' \
  -H 'x-gw-ims-org-id: {ORG_ID}' \
  -H 'x-sandbox-name: {SANDBOX_NAME}' \
  -H 'Content-Type: application/json' \
"""
ADOBE_REFRESH = ADOBE_GET.replace("dlz_databricks_source'", "dlz_databricks_source&action=refresh'")


class Shell:
    """Runs a document's command by bash in a folder that is its home, too."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def run(self, command, **places):
        for place, value in places.items():
            command = command.replace(place, value)
        environment = {**os.environ, "HOME": str(self.folder)}
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
        require(done.returncode == 0, f"{command}\nended with {done.returncode}: {done.stderr}")
        return done.stdout


def run(world):
    server = Workspace(world.folder / "workspace")
    try:
        shell = Shell(world.folder / "home")
        segment(server, shell)
        partner(world, server, shell)
    finally:
        server.stop()
    adobe(world, shell)


def me(server, shell, token):
    """Whose token it is."""
    return json.loads(shell.run(f"curl --silent --header 'Authorization: Bearer {token}' {server.host}/api/2.0/preview/scim/v2/Me"))


def segment(server, shell):
    loader = server.service_principal("Segment Storage Destinations")
    places = {
        "<DATABRICKS_WORKSPACE_URL>": server.host, "<WORKSPACE_ADMIN_TOKEN>": server.admin_token, "<SERVICE_PRINCIPAL_APPLICATION_ID>": loader["client_id"],
        "<LIFETIME_SECONDS>": "7776000", "<COMMENT>": "Grants Segment access to this workspace until 12/21/2023",
    }
    answer = json.loads(shell.run(SEGMENT_TOKEN, **places))
    require(answer["error_code"] == "PERMISSION_DENIED", f"without the permission to use tokens: {answer}")
    server.permit(loader["client_id"], "authorization", "tokens", "CAN_USE")
    answer = json.loads(shell.run(SEGMENT_TOKEN, **places))
    require(answer["token_info"]["expiry_time"] - answer["token_info"]["creation_time"] == 7_776_000_000, f"its life: {answer}")
    require(me(server, shell, answer["token_value"])["applicationId"] == loader["client_id"], "the token is another's")


def partner(world, server, shell):
    loader = server.service_principal("FIVETRAN_USER")
    server.permit(loader["client_id"], "authorization", "tokens", "CAN_USE")
    netrc = shell.folder / ".netrc"
    netrc.write_text(f"machine 127.0.0.1\nlogin token\npassword {server.admin_token}\n")
    netrc.chmod(0o600)
    (shell.folder / "create-token.json").write_text(PARTNER_FILE.replace("<application-id>", loader["client_id"]))
    places = {"https://<databricks-instance>": server.host, "<application-id>": loader["client_id"]}
    if shutil.which("jq") is None:
        world.skip("jq", "it is not installed: the answers are read without it")

    def ask(command):
        """What jq would print of the answer, where there is no jq."""
        if shutil.which("jq") is not None:
            return json.loads(shell.run(command, **places))
        answer = json.loads(shell.run(command.rpartition("\\\n| jq")[0], **places))
        return [{key: each[key] for key in ("displayName", "applicationId")} for each in answer["Resources"]] if "Resources" in answer else [answer]

    listed = ask(PARTNER_LIST)
    require({"displayName": "FIVETRAN_USER", "applicationId": loader["client_id"]} in listed, f"listed: {listed}")
    token = ask(PARTNER_TOKEN)[0]["token_value"]
    require(me(server, shell, token)["applicationId"] == loader["client_id"], "the token is another's")
    # As printed, with the applicationId, it deletes nothing: the service knows the numeric id only.
    answer = json.loads(shell.run(PARTNER_DELETE, **places))
    require(answer["status"] == "404" and "detail" in answer, f"deleted by applicationId: {answer}")
    require(me(server, shell, token)["applicationId"] == loader["client_id"], "it is deleted all the same")
    require(shell.run(PARTNER_DELETE, **{**places, "<application-id>": loader["scim_id"]}) == "", "deleted by its id")
    require(me(server, shell, token).get("error_code") == 403, "its token lives on")
    again = server.service_principal("RIVERY_USER")
    server.settings(scim_delete_by_application_id=True)
    require(shell.run(PARTNER_DELETE, **{**places, "<application-id>": again["client_id"]}) == "", "a lenient service deletes by applicationId")


def adobe(world, shell):
    server = world.azurite()
    zone = LandingZone(server, server.container("dlz-databricks-container"), life=600, seed=world.seed, unannounced=False)
    try:
        fields = {"grant_type": "client_credentials", "client_id": landing_zone.CLIENT_ID, "client_secret": landing_zone.CLIENT_SECRET}
        token = json.loads(shell.run(f"curl --silent {zone.token_url} " + " ".join(f"--data {key}={value}" for key, value in fields.items())))["access_token"]
        places = {
            "https://platform.adobe.io": zone.server.url, "{ACCESS_TOKEN}": token, "{API_KEY}": landing_zone.HEADERS["x-api-key"],
            "{ORG_ID}": landing_zone.HEADERS["x-gw-ims-org-id"], "{SANDBOX_NAME}": landing_zone.HEADERS["x-sandbox-name"],
        }
        first = json.loads(shell.run(ADOBE_GET, **places))
        require(set(first) == {"containerName", "SASToken", "storageAccountName", "SASUri", "expiryDate"}, f"credentials: {first}")
        # The document says POST and prints GET; the one that changes something is the one that its prose names.
        require(shell.run(ADOBE_REFRESH, **places) == "", "a GET refreshes")
        second = json.loads(shell.run(ADOBE_REFRESH, **places, **{"-X GET": "-X POST"}))
        require(second["SASToken"] != first["SASToken"], "a refresh gives the same signature")
    finally:
        zone.stop()
