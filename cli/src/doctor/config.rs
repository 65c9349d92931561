//! Errors and unknown keys of the configuration, with their lines.

use std::{fs, io::ErrorKind};

use daemon_config::ConfigFile;
use dbus_interfaces::places;

use super::{Diagnosis, Severity, finding, quoted};

pub(super) fn look(diagnosis: &mut Diagnosis) {
    let path = match places::config_file() {
        Ok(path) => path,
        Err(error) => return diagnosis.skip("configuration", error),
    };
    let closed = fs::File::open(&path).is_err_and(|cause| cause.kind() == ErrorKind::PermissionDenied);
    let tool = if closed { "chmod u+rw" } else { "${EDITOR:-vi}" };
    let mend = format!("{tool} {}", quoted(&path));
    let mut file = ConfigFile::new(path.clone());
    let loaded = file.load();
    if let Some(error) = loaded.error {
        diagnosis.add([finding("bad-config", Severity::Error, path.display(), error, &mend)]);
    }
    let unknown = |warning| finding("unknown-config-key", Severity::Warning, path.display(), warning, &mend);
    diagnosis.add(loaded.warnings.iter().map(unknown));
}
