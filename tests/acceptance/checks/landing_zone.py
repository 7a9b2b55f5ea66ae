"""Two daemons on one container of a landing zone, whose signatures end after seconds and revoke one another.

Both may demand new ones. Answers of the zone get lost, its bearer tokens end, daemons are killed; all that was accepted
lands once, and the daemons do not take each other's signatures away in a storm.
"""

from harness import landing_zone, readers, stores, storm
from harness.azurite import ACCOUNT
from harness.daemon import free_port
from harness.landing_zone import LandingZone
from harness.procs import require

LIFE, MARGIN, SECONDS, LONG_SECONDS, LIVES = 5, 2, 36, 600, 10


def credentials(zone):
    return {
        "type": "landing_zone", "endpoint": zone.endpoint, "headers": landing_zone.HEADERS, "token_url": zone.token_url,
        "client_id": landing_zone.CLIENT_ID, "client_secret": landing_zone.CLIENT_SECRET, "refresh": True, "margin_seconds": MARGIN,
    }


def run(world):
    server = world.azurite()
    container = server.container("dlz-user-container")
    server.client(container).upload_blob("adobe-managed-staging/kept.json", b"theirs")
    zone = LandingZone(server, container, LIFE, world.seed, loses=0.1)
    daemons, urls = [], []
    for number in range(2):
        port = free_port()
        urls.append(f"http://127.0.0.1:{port}")
        # One table for both: they race for its versions beside all else.
        config = stores.http_daemon(
            f"az://{container}/lake", port, world.folder / f"spool-{number}", stores.azure(server.url, container, credentials(zone)),
            more=f'pipeline = "landing-{number}"')
        daemons.append(world.daemon(config, f"daemon-{number}").start())
    for daemon in daemons:
        daemon.ready(60)
    code, document, said = stores.check(world, daemons[0].config.read_text(), "a landing zone")
    warned = any("delete" in f"{finding['message']} {finding['remedy']}".lower() for finding in stores.findings(document))
    require(code == 0 and warned, f"it is not warned of files that a landing zone deletes: {said}")
    seconds = LONG_SECONDS if world.long else SECONDS
    try:
        senders = storm.senders(world, urls, "keyed")
        storm.kill(world, daemons, seconds, (5.0, 9.0))
        storm.finish(senders)
        storm.drain(daemons)
        storm.audit(world, daemons[0], "keyed")
    finally:
        zone.stop()
    rows = storm.duck_verdict(world, f"az://{container}/lake/keyed", senders, readers.duck_azure(server))
    kills = sum(daemon.kills for daemon in daemons)
    world.note(f"{rows} rows over {zone.generation} signatures, {zone.refreshes} by refresh, {zone.renewals} after their end; "
               f"{zone.gets} GETs, {zone.lost} answers lost, {zone.tokens} bearer tokens, {zone.refused} requests refused, {kills} kills")
    require(zone.generation >= LIVES, f"only {zone.generation} signatures were lived through")
    require(zone.refreshes > 0 and zone.lost > 0, "no signature was demanded, or no answer lost")
    # Each life may be cut short by both daemons at once, and no more; a refresh of a fresh signature is one too many.
    lives = seconds / (LIFE - MARGIN) + kills
    needless = sum(left > MARGIN + 1 for _, left in zone.refreshed_at)
    require(zone.refreshes <= 2 * lives + zone.lost, f"{zone.refreshes} refreshes in {lives:.0f} lives")
    require(needless <= lives / 2 + zone.lost, f"{needless} of {zone.refreshes} refreshes revoked a fresh signature")
    require(server.client(container).download_blob("adobe-managed-staging/kept.json").readall() == b"theirs", "a foreign blob was changed")
    for daemon in daemons:
        log = daemon.log.read_text(errors="replace")
        found = [secret for secret in (*zone.secrets, landing_zone.CLIENT_SECRET, landing_zone.HEADERS["x-api-key"]) if secret in log]
        require(not found, f"{daemon.log.name} shows a secret: {found[:1]}")
    guarded(world, server, container)


def guarded(world, server, container):
    """A lake below what Adobe keeps for itself is refused, however it is spelled, before any request."""
    sas = server.sas(container)
    for path in ("adobe-managed-staging/lake", "adobe%2Dmanaged-staging/lake", "x/../adobe-managed-staging/lake", "adobe-managed-staging%2Flake"):
        config = world.folder / "guarded.toml"
        config.write_text(stores.http_daemon(
            f"az://{container}/{path}", free_port(), world.folder / "spool-guarded",
            stores.azure(f"http://127.0.0.1:{free_port()}/{ACCOUNT}", container, {"type": "sas", "token": sas})))
        code, out, error = world.cli("check", "--config", config, seconds=30)
        require(code == 2 and "lake.url" in out + error, f"a lake at {path}: exit code {code}:\n{out}{error}")
