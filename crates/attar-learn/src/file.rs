//! Files that are either whole or not there.

use std::io::Write;
use std::path::Path;

use crate::Error;

/// Writes a file aside, syncs it and renames it: a crash leaves the old one or the new one.
///
/// # Errors
/// [`Error::Io`], and the old file stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = aside().tempfile_in(folder).map_err(Error::io(path))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    file.persist(path).map_err(|error| Error::Io { path: path.into(), source: error.error })?;
    sync_folder(folder)
}

/// A temporary file as open to others as any new file, not to its owner alone.
fn aside() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Makes a rename in `folder` outlive a loss of power; elsewhere than on Unix a folder cannot be synced.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(Error::io(folder))?;
    }
    Ok(())
}
