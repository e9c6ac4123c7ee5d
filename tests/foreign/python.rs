//! The type checker of Python, and Python to run what it has checked.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;
use tokio::sync::OnceCell;

use super::foreign::{is_here, run};
use super::preparation::prepared;

/// The packages, each with its version.
const REQUIREMENTS: &str = include_str!("python/requirements.txt");

/// The installed type checker.
#[derive(Clone, Debug)]
pub struct Mypy {
    packages: PathBuf,
}

impl Mypy {
    /// Installs it below `target` (`CARGO_TARGET_TMPDIR`), once for each list of packages. `Err` states why it can't be
    /// installed here.
    pub async fn install(target: &'static str) -> Result<Self, String> {
        // Tests run side by side.
        static INSTALLED: OnceCell<Result<Mypy, String>> = OnceCell::const_new();
        INSTALLED.get_or_init(|| Self::install_once(Path::new(target))).await.clone()
    }

    async fn install_once(target: &Path) -> Result<Self, String> {
        is_here("python3").await?;
        let mut hasher = DefaultHasher::new();
        REQUIREMENTS.hash(&mut hasher);
        let packages = target.join(format!("foreign-mypy-{:016x}", hasher.finish()));
        if packages.exists() {
            return Ok(Self { packages });
        }
        let failed = |error: std::io::Error| format!("the type checker can't be put in {target:?}: {error}");
        // Installed beside and moved into place, so that it is complete as soon as it exists.
        let beside = tempfile::tempdir_in(target).map_err(failed)?;
        let requirements = beside.path().join("requirements.txt");
        std::fs::write(&requirements, REQUIREMENTS).map_err(failed)?;
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--requirement",
        ]);
        run(pip.arg(&requirements).arg("--target").arg(beside.path().join("packages"))).await?;
        match std::fs::rename(beside.path().join("packages"), &packages) {
            Err(error) if !packages.exists() => Err(failed(error)),
            _ => Ok(Self { packages }),
        }
    }

    /// Checks files strictly, as programs of Python 3.9. Returns the lines of errors.
    pub async fn check(&self, directory: &Path, files: &[&str]) -> Vec<String> {
        let mut command = Command::new("python3");
        command.args(["-m", "mypy", "--strict", "--python-version", "3.9", "--no-error-summary"]);
        command.args(["--no-incremental", "--cache-dir", "/dev/null"]).env("PYTHONPATH", &self.packages);
        let checking = command.args(files).current_dir(directory).output();
        let Output { status, stdout, stderr } = prepared("checking", checking).await.unwrap();
        let lines: Vec<_> = String::from_utf8_lossy(&stdout).lines().map(str::to_owned).collect();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success() == lines.is_empty() && stderr.is_empty(), "{status}: {lines:?}: {stderr}");
        lines
    }
}
