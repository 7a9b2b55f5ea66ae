//! A folder of a test's own: configuration, lake, inputs; and the binary run over it.

use super::{daemon::Daemon, lake};
use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
}

/// The built binary, with nothing of this process's environment that it reads.
pub(crate) fn alluvium() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluvium"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLUVIUM")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

impl Home {
    /// With a configuration file: `extra` after the lake, the quiet admin address and an HTTP source `web`
    /// on a free port, commits every 200 ms.
    pub(crate) fn http(extra: &str) -> Self {
        let home = Self::bare();
        home.configure(&format!(
            "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n[table_defaults]\nflush_interval_seconds = 0.2\n\
             [sources.web]\ntype = \"http\"\nlisten = \"127.0.0.1:0\"\n{extra}",
            home.lake().display()
        ));
        home
    }

    pub(crate) fn bare() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.config(), text).expect("a configuration file");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("alluvium.toml")
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("an input file");
        path
    }

    pub(crate) fn table(&self, name: &str) -> lake::Table {
        lake::Table::at(&self.lake().join(name))
    }

    /// `alluvium WORDS… --config FILE`.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = alluvium();
        command.args(words).arg("--config").arg(self.config());
        command.current_dir(self.dir.path());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the binary runs")
    }

    /// `alluvium audit` over all tables of a source must find no fault.
    pub(crate) fn assert_audited(&self, source: &str) {
        let audit = self.run(&["audit", "--source", source]);
        assert!(audit.status.success(), "{}", text(&audit));
    }

    pub(crate) async fn serve(&self) -> Daemon {
        Daemon::start(self.command(&["serve"])).await
    }
}

/// Both streams, for messages and for looking at.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
