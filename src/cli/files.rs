//! Files that operators write and name on the command line.
//!
//! What does not live here: their content. What always holds: `-` is standard input, and a file
//! that is too long to be meant is refused before it is read whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Failure;

/// The content of a file of at most `bytes_max` bytes.
pub(super) fn read(file: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let from: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let cannot = |error| Failure(format!("{} cannot be read: {error}", file.display()));
        Box::new(File::open(file).map_err(cannot)?)
    };
    let mut text = Vec::new();
    from.take(bytes_max + 1).read_to_end(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(Failure(format!("the file has more than {bytes_max} bytes: split it")));
    }
    Ok(text)
}

/// The same, as text.
pub(super) fn read_text(file: &Path, bytes_max: u64) -> Result<String, Failure> {
    String::from_utf8(read(file, bytes_max)?).map_err(|_| Failure("the file is not UTF-8".to_owned()))
}
