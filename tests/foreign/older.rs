//! An earlier version of this library, built from the history of the repository.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::conversation::Dialect;
use super::peer::{Peer, Role, run};

/// The last commit of 2026-11-26. Since then requests have typed errors, cancels, and replies without a topic of their
/// own.
const COMMIT: &str = "05fdc5339014108068bcda6c17f23502fcd6d74a";

/// What is built, beside the library of that commit.
const SOURCES: [(&str, &str); 3] = [
    ("peer.rs", include_str!("older/peer.rs")),
    ("Cargo.toml", include_str!("older/Cargo.toml")),
    // The versions of dependencies that this repository is built with: cargo has them already.
    ("Cargo.lock", include_str!("../../Cargo.lock")),
];

/// The program `older/peer.rs`, built with the earlier version.
#[derive(Clone, Debug)]
pub struct Older {
    program: PathBuf,
}

impl Older {
    /// Builds the program below `target` (`CARGO_TARGET_TMPDIR`). `Err` states why the version can't be had here.
    pub async fn build(target: &'static str) -> Result<Self, String> {
        // Tests run side by side.
        static BUILT: OnceCell<Result<Older, String>> = OnceCell::const_new();
        BUILT.get_or_init(|| Self::build_once(Path::new(target))).await.clone()
    }

    async fn build_once(target: &Path) -> Result<Self, String> {
        let directory = Self::take_out(target).await?;
        let built = target.join("older-target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--target-dir"]).arg(&built).current_dir(directory.join("peer"));
        run(&mut cargo).await.unwrap_or_else(|error| panic!("the earlier version does not build: {error}"));
        Ok(Self { program: built.join("debug/older-peer") })
    }

    /// Puts the sources below `target`, once for each commit and program, and returns where.
    async fn take_out(target: &Path) -> Result<PathBuf, String> {
        let mut hasher = DefaultHasher::new();
        (COMMIT, SOURCES).hash(&mut hasher);
        let directory = target.join(format!("older-{:016x}", hasher.finish()));
        if directory.exists() {
            return Ok(directory);
        }

        let failed = |error: std::io::Error| format!("the sources can't be put in {target:?}: {error}");
        // Taken out beside and moved into place, so that they are complete as soon as they exist.
        let beside = tempfile::tempdir_in(target).map_err(failed)?;
        let archive = beside.path().join("version.tar");
        let mut git = Command::new("git");
        git.args(["archive", "--format=tar", "--output"]).arg(&archive).arg(COMMIT);
        git.args(["Cargo.toml", "socket-ipc", "socket-ipc-derive"]);
        let missing = |error| format!("the history does not hold the version of 2026-11-26: {error}");
        run(git.current_dir(env!("CARGO_MANIFEST_DIR"))).await.map_err(missing)?;
        // Apart: a package inside the workspace of another would have to be a member of it.
        let (version, peer) = (beside.path().join("version"), beside.path().join("peer"));
        for directory in [&version, &peer] {
            std::fs::create_dir(directory).map_err(failed)?;
        }
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&version)).await?;
        for (name, text) in SOURCES {
            std::fs::write(peer.join(name), text).map_err(failed)?;
        }
        match std::fs::rename(beside.path(), &directory) {
            Err(error) if !directory.exists() => Err(failed(error)),
            _ => Ok(directory),
        }
    }

    /// Starts a client or a server of the earlier version.
    pub async fn start(&self, role: Role, socket: &Path) -> Peer {
        let mut command = Command::new(&self.program);
        command.arg(role.name()).arg(socket);
        Peer::start(command, Dialect::Ours).await.expect("it has been built")
    }
}
