//! Which parts of the process work, for `/readyz`.

use parking_lot::RwLock;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a component means for readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Events cannot be taken durably without it: the spool, a Kafka consumer.
    Intake,
    /// Events wait for it safely: a store, a table. Shown, but it does not unready the process.
    Behind,
}

/// How a room that does not know the registry tells a component's state.
pub type Reporter = Arc<dyn Fn(&str, Result<(), String>) + Send + Sync>;

/// The shared registry of components. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    components: BTreeMap<String, Component>,
    draining: bool,
}

#[derive(Debug)]
struct Component {
    role: Role,
    /// `None`: it works.
    trouble: Option<String>,
    since: Instant,
}

impl Health {
    /// Announces a component, which is `starting` until [`Health::set`] says otherwise.
    pub fn register(&self, name: &str, role: Role) {
        self.0.write().components.insert(
            name.to_owned(),
            Component {
                role,
                trouble: Some("starting".into()),
                since: Instant::now(),
            },
        );
    }

    /// Says that a component works, or why not. One that was not announced is [`Role::Behind`]. The
    /// reason is shown on the admin address: no secret may be in it.
    pub fn set(&self, name: &str, state: Result<(), String>) {
        self.report_of(name, Role::Behind, state);
    }

    /// [`Health::set`] for a room that does not know this registry. What it names first here has `role`.
    pub fn reporter(&self, role: Role) -> Reporter {
        let health = self.clone();
        Arc::new(move |name, state| health.report_of(name, role, state))
    }

    fn report_of(&self, name: &str, role: Role, state: Result<(), String>) {
        let mut inner = self.0.write();
        let component = inner
            .components
            .entry(name.to_owned())
            .or_insert_with(|| Component {
                role,
                trouble: None,
                since: Instant::now(),
            });
        let trouble = state.err();
        if component.trouble.is_some() != trouble.is_some() {
            component.since = Instant::now();
        }
        component.trouble = trouble;
    }

    /// Forgets a component.
    pub fn remove(&self, name: &str) {
        self.0.write().components.remove(name);
    }

    /// A shutdown has begun: no longer ready, whatever components say.
    pub fn drain(&self) {
        self.0.write().draining = true;
    }

    /// Whether events can be taken durably: at least one component of intake, and all of them work.
    pub fn is_ready(&self) -> bool {
        let inner = self.0.read();
        let mut intake = inner
            .components
            .values()
            .filter(|component| component.role == Role::Intake)
            .peekable();
        !inner.draining
            && intake.peek().is_some()
            && intake.all(|component| component.trouble.is_none())
    }

    /// The body of `/readyz`.
    pub(super) fn report(&self) -> (bool, Value) {
        let ready = self.is_ready();
        let inner = self.0.read();
        let seconds = |since: Duration| since.as_secs();
        let components: serde_json::Map<String, Value> = inner
            .components
            .iter()
            .map(|(name, component)| {
                let mut shown = json!({
                    "ok": component.trouble.is_none(),
                    "needed": component.role == Role::Intake,
                    "for_seconds": seconds(component.since.elapsed()),
                });
                if let Some(reason) = &component.trouble {
                    shown["reason"] = reason.as_str().into();
                }
                (name.clone(), shown)
            })
            .collect();
        let body = json!({
            "ready": ready,
            "draining": inner.draining,
            "components": components,
        });
        (ready, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_durable_intake() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing takes events yet");
        health.register("spool", Role::Intake);
        health.register("store", Role::Behind);
        assert!(!health.is_ready(), "starting");
        health.set("spool", Ok(()));
        health.set("store", Err("does not answer".into()));
        assert!(
            health.is_ready(),
            "a store that is down does not unready a spool with room"
        );
        health.set("spool", Err("disk is full".into()));
        let (ready, body) = health.report();
        assert!(!ready);
        assert_eq!(body["components"]["spool"]["reason"], "disk is full");
        assert_eq!(body["components"]["store"]["needed"], false);
        let report = health.reporter(Role::Intake);
        report("spool", Ok(()));
        assert!(health.is_ready());
        report("kafka", Err("no broker answers".into()));
        assert!(
            !health.is_ready(),
            "what a reporter names first has its role"
        );
        health.remove("kafka");
        assert!(health.is_ready());
        health.drain();
        assert!(!health.is_ready());
        assert_eq!(health.report().1["draining"], true);
    }
}
