//! A daemon as a process: its log lines, its addresses, its end.

use super::until;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

pub(crate) struct Daemon {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) http: String,
    pub(crate) admin: String,
}

impl Daemon {
    /// Started and ready.
    pub(crate) async fn start(command: Command) -> Self {
        let mut daemon = Self::spawn(command);
        let lines = daemon.lines.clone();
        until("the daemon is ready", || {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("the daemon ended, {status}: {}", lines.lock().join("\n"));
            }
            daemon.event("ready").is_some()
        })
        .await;
        if let Some(listening) = daemon.event("listening") {
            daemon.http = listening["address"].as_str().unwrap_or_default().to_owned();
        }
        let ready = daemon.event("ready").unwrap_or_default();
        daemon.admin = ready["admin"].as_str().unwrap_or_default().to_owned();
        daemon
    }

    /// Started, whether it will be ready or not.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                sink.lock()
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self {
            child,
            lines,
            reader: Some(reader),
            http: String::new(),
            admin: String::new(),
        }
    }

    /// The first log line with this message.
    pub(crate) fn event(&self, message: &str) -> Option<Value> {
        self.lines
            .lock()
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == message)
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().join("\n")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// How it ended by itself, and all it said.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        until("the daemon ends", || !self.is_running()).await;
        let status = self.child.wait().expect("its end");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of its log");
        }
        (status, self.log())
    }

    /// SIGTERM must drain and end it with 0.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM");
        let (status, log) = self.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Resident bytes now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        let answer = reqwest::get(url).await.expect("an admin address");
        answer.text().await.expect("metrics")
    }

    /// Sleeps, and fails if the daemon has ended meanwhile.
    pub(crate) async fn run_for(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        assert!(self.is_running(), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
    }
}
