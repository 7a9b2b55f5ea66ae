//! Who the credential stands for, by which kind of token, and until when.

use super::{Section, refused};
use crate::{
    check::text,
    databricks::{
        AuthOptions, Call, ConnectionOptions, Credential, Kind as Told, Result, Workspace,
        scim::{Me, Scim},
    },
};
use serde::Deserialize;

/// A token that lives longer than this is worth a word.
const LONG_DAYS: i64 = 365;
/// One that ends sooner than this is, too.
const SOON_DAYS: i64 = 7;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// `None` where no request will be answered better.
pub(super) async fn probe(
    section: &mut Section,
    workspace: &Workspace,
    options: &ConnectionOptions,
) -> Option<Me> {
    let me = match Scim::new(workspace).me().await {
        Ok(me) => me,
        Err(error) => {
            let (what, remedy) = match error.kind() {
                Told::Unauthenticated => (
                    "the credential is refused",
                    "give the connection's `auth` a credential that is valid in this workspace",
                ),
                Told::PermissionDenied => (
                    "the credential is known and may not use this workspace",
                    "add its principal to the workspace (account console, Workspaces, Permissions) with the entitlement `workspace-access`",
                ),
                Told::NotFound => (
                    "the host is no workspace",
                    "check `host`: an account console and other sites answer, too",
                ),
                _ => ("who we are is not to be had", ""),
            };
            refused(section, what, error, remedy);
            return None;
        }
    };
    section.fine(format!("authenticated as {me}, by {}", how(options)));
    if me.active == Some(false) {
        section.warn(
            "the principal is not active",
            "activate it in the account console",
        );
    }
    if me.is_admin() {
        section.note("it is an administrator of the workspace, which Alluvium does not need");
    }
    match workspace.credential() {
        Credential::PersonalToken => tokens(section, workspace).await,
        Credential::Issued { end: Some(end) } => section.note(format!(
            "the present token ends at {} and is renewed before",
            text::time(Some(
                chrono::DateTime::<chrono::Utc>::from(end).timestamp_millis()
            ))
        )),
        Credential::Issued { end: None } => {}
    }
    Some(me)
}

/// An account has no SCIM of our own self: a small list shows whether the credential counts.
pub(super) async fn account(section: &mut Section, workspace: &Workspace) {
    let Some(account) = workspace.account_id() else {
        super::lacking(
            section,
            "the account console is told, and not which account",
            "set `account_id` of the connection",
        );
        return;
    };
    let path = format!(
        "/api/2.0/accounts/{}/scim/v2/ServicePrincipals",
        crate::databricks::segment(account)
    );
    let asked: Result<serde_json::Value> = workspace.send(Call::get(path).query("count", 1)).await;
    match asked {
        Ok(_) => section.fine("authenticated in the account; its tables are those of workspaces, so nothing else is tried"),
        Err(error) => refused(section, "the account's API refuses", error, "make the principal an account administrator"),
    }
}

fn how(options: &ConnectionOptions) -> &'static str {
    match options.auth {
        AuthOptions::Environment => "what the environment and ~/.databrickscfg offer",
        AuthOptions::OauthM2m(_) => "an OAuth token of its secret",
        AuthOptions::Pat(_) => "a personal access token",
        AuthOptions::Entra(_) => "a token of Entra ID",
        AuthOptions::OidcFederation(_) => "an OAuth token for another issuer's",
    }
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    token_infos: Vec<TokenInfo>,
}

#[derive(Deserialize)]
struct TokenInfo {
    /// Milliseconds since the epoch; -1 for never.
    #[serde(default)]
    expiry_time: i64,
}

/// Which of the principal's tokens is ours nobody tells, so all are looked at.
async fn tokens(section: &mut Section, workspace: &Workspace) {
    let listed: Tokens = match workspace.send(Call::get("/api/2.0/token/list")).await {
        Ok(listed) => listed,
        Err(error) => {
            section.note(format!("when the token ends is not to be had: {error}"));
            return;
        }
    };
    judge(
        section,
        &listed.token_infos,
        chrono::Utc::now().timestamp_millis(),
    );
}

fn judge(section: &mut Section, tokens: &[TokenInfo], now: i64) {
    const REMEDY: &str = "use OAuth (`auth = { type = \"oauth_m2m\" }`), or a token with a lifetime, and keep it in a file: file:PATH is read anew";
    // Ours has not ended.
    let lives = |token: &&TokenInfo| token.expiry_time < 0 || token.expiry_time > now;
    let tokens: Vec<&TokenInfo> = tokens.iter().filter(lives).collect();
    let eternal = tokens.iter().filter(|token| token.expiry_time < 0).count();
    if eternal > 0 {
        let which = match tokens.len() {
            1 => "the personal access token never ends".to_owned(),
            all => format!(
                "{eternal} of the principal's {all} personal access tokens never end, and this may be one"
            ),
        };
        section.warn(which, REMEDY);
        return;
    }
    match tokens.iter().map(|token| token.expiry_time).min() {
        None => section.note("when the token ends is not told"),
        Some(first) if first - now > LONG_DAYS * DAY_MILLIS => {
            section.warn(
                format!(
                    "the first of the principal's tokens ends only at {}",
                    text::time(Some(first))
                ),
                REMEDY,
            );
        }
        Some(first) => {
            let told = match tokens.len() {
                1 => format!(
                    "the personal access token ends at {}",
                    text::time(Some(first))
                ),
                all => format!(
                    "the first of the principal's {all} personal access tokens ends at {}, and this may be it",
                    text::time(Some(first))
                ),
            };
            match first - now < SOON_DAYS * DAY_MILLIS {
                true => section.warn(told, REMEDY),
                false => section.note(format!("{told}: replace it before")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ends: &[i64]) -> String {
        let mut section = Section::new("x");
        let tokens: Vec<TokenInfo> = ends
            .iter()
            .map(|ends| TokenInfo { expiry_time: *ends })
            .collect();
        judge(&mut section, &tokens, 1_000);
        format!("{section:?}")
    }

    #[test]
    fn a_token_that_never_ends_is_warned_of() {
        assert!(judged(&[-1]).contains("never ends"));
        assert!(judged(&[DAY_MILLIS, -1]).contains("1 of the principal's 2"));
        assert!(judged(&[500 * DAY_MILLIS]).contains("Warning"));
        assert!(judged(&[DAY_MILLIS, 500 * DAY_MILLIS]).contains("1970-01-02"));
        assert!(judged(&[]).contains("not told") && judged(&[500]).contains("not told"));
        let (soon, later) = (judged(&[6 * DAY_MILLIS]), judged(&[60 * DAY_MILLIS]));
        assert!(soon.contains("Warning") && soon.contains("token ends at 1970-01-07"));
        assert!(later.contains("Note") && later.contains("token ends at 1970-03-02"));
    }
}
