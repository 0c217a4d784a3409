//! The records that wait in an outbox, as one file, for a site that has no network.
//!
//! ```text
//! {"format":"website-monitor-outbox","version":1,"agent":"edge-1","exported_at":"…"}     a line in the clear
//! zstd of: {"epoch":"…","seq":1,"v":1,"kind":…}                                          a message a line
//!          …
//!          {"records":1234,"crc32c":"89abcdef"}                                          of all lines before it
//! ```
//!
//! So `tail -n +2 FILE | zstd -dc` shows all of it. A file is written under a temporary name, and gets its own name when it is
//! whole and on disk. A file is checked up to its end before a record is taken from it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

const FORMAT: &str = "website-monitor-outbox";
const VERSION: u64 = 1;
/// No line is longer; one that is comes of damage.
const LONGEST: u64 = 1024 * 1024;
const TRAILER: &[u8] = b"{\"records\":";

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u64,
    /// The agent's name, which is the messages' key.
    pub agent: String,
    /// When it was written, by the wall clock.
    pub exported_at: Timestamp,
}

/// The last line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Trailer {
    records: u64,
    crc32c: String,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It can't be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What reading answered.
        source: io::Error,
    },
    /// It is not what an export wrote.
    #[error("{}: {problem}; nothing of it was sent: copy it again from where it was exported", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A later version of the agent wrote it.
    #[error("{}: has version {found}, this agent knows {VERSION}; import it with the agent that wrote it", path.display())]
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

/// A file that is being written.
pub struct Export {
    path: PathBuf,
    body: zstd::Encoder<'static, BufWriter<NamedTempFile>>,
    records: u64,
    crc32c: u32,
}

impl Export {
    /// Begins a file that will replace what is at `path`.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn begin(path: &Path, agent: &str) -> io::Result<Export> {
        let header =
            Header { format: FORMAT.into(), version: VERSION, agent: agent.into(), exported_at: Timestamp::now() };
        let mut header = serde_json::to_vec(&header)?;
        header.push(b'\n');
        let mut file = BufWriter::new(NamedTempFile::new_in(directory(path))?);
        file.write_all(&header)?;
        let mut body = zstd::Encoder::new(file, 0)?;
        body.include_checksum(true)?;
        Ok(Export { path: path.into(), body, records: 0, crc32c: crc32c::crc32c(&header) })
    }

    /// Adds a message.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, message: &[u8]) -> io::Result<()> {
        for part in [message, b"\n"] {
            self.crc32c = crc32c::crc32c_append(self.crc32c, part);
            self.body.write_all(part)?;
        }
        self.records += 1;
        Ok(())
    }

    /// Ends the file and gives it its name, durably; answers how many messages and bytes it has.
    ///
    /// # Errors
    /// When the disk refuses. Then what was at its place is still there.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        serde_json::to_writer(
            &mut self.body,
            &Trailer { records: self.records, crc32c: format!("{:08x}", self.crc32c) },
        )?;
        self.body.write_all(b"\n")?;
        let file = self.body.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        let bytes = file.as_file().metadata()?.len();
        file.persist(&self.path)?;
        File::open(directory(&self.path))?.sync_all()?;
        Ok((self.records, bytes))
    }
}

/// A file that was looked through and is whole.
#[derive(Debug)]
pub struct Import {
    file: File,
    /// Its first line.
    pub header: Header,
    /// How many messages it holds.
    pub records: u64,
    body_at: u64,
}

impl Import {
    /// Opens a file and reads it to its end.
    ///
    /// # Errors
    /// When it can't be read, is damaged, or of a later version.
    pub fn open(path: &Path) -> Result<Import, Refused> {
        let refused = |source| refused(path, source);
        let file = File::open(path).map_err(refused)?;
        let line = read_line(&mut BufReader::new(&file)).map_err(refused)?.unwrap_or_default();
        let header = read_header(path, &line)?;
        let mut import = Import { file, header, records: 0, body_at: line.len() as u64 + 1 };
        let crc32c = crc32c::crc32c_append(crc32c::crc32c(&line), b"\n");
        let trailer = import.look_through(crc32c).map_err(refused)?;
        import.records = trailer.records;
        Ok(import)
    }

    fn look_through(&self, mut crc32c: u32) -> io::Result<Trailer> {
        let mut lines = self.lines()?;
        let mut records = 0;
        loop {
            let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
            if line.starts_with(TRAILER) {
                let trailer: Trailer = serde_json::from_slice(&line)?;
                if trailer != (Trailer { records, crc32c: format!("{crc32c:08x}") }) {
                    return Err(io::Error::other("its records are not those that its last line speaks of"));
                }
                // The checksum of the compressed body stands at its very end.
                return match lines.next() {
                    None => Ok(trailer),
                    Some(more) => more.and(Err(io::Error::other("it goes on behind its last line"))),
                };
            }
            records += 1;
            crc32c = crc32c::crc32c_append(crc32c::crc32c_append(crc32c, &line), b"\n");
        }
    }

    /// The messages, in order.
    ///
    /// # Errors
    /// When the file can't be read any more.
    pub fn messages(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
        let records = usize::try_from(self.records).map_err(io::Error::other)?;
        Ok(self.lines()?.take(records))
    }

    fn lines(&self) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.body_at))?;
        let mut body = BufReader::new(zstd::Decoder::new(file)?);
        Ok(std::iter::from_fn(move || read_line(&mut body).transpose()))
    }
}

/// What an error means that reading the file gave: only the system's own are not the file's fault.
fn refused(path: &Path, error: io::Error) -> Refused {
    let path = path.to_owned();
    match error.kind() {
        _ if error.raw_os_error().is_some() => Refused::Io { path, source: error },
        io::ErrorKind::UnexpectedEof => Refused::Damaged { path, problem: "it is cut short".into() },
        _ => Refused::Damaged { path, problem: format!("it is damaged: {error}") },
    }
}

fn read_header(path: &Path, line: &[u8]) -> Result<Header, Refused> {
    let damaged = |problem: &str| Refused::Damaged { path: path.into(), problem: problem.into() };
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    if value["format"] != FORMAT {
        return Err(damaged("its first line is not that of an exported outbox"));
    }
    match value["version"].as_u64() {
        Some(VERSION) => serde_json::from_value(value).map_err(|error| damaged(&format!("its first line: {error}"))),
        Some(found) if found > VERSION => Err(Refused::LaterVersion { path: path.into(), found }),
        _ => Err(damaged("its first line has no version")),
    }
}

/// A line without its end; none at the end of the file. One that has no end is an unexpected end of the file.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() as u64 >= LONGEST - 1 => Err(io::Error::other("a line has no end")),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn exported(directory: &Path, count: usize) -> (PathBuf, Vec<Vec<u8>>) {
        let path = directory.join("file");
        let messages: Vec<Vec<u8>> =
            (1..=count).map(|seq| format!("{{\"epoch\":\"e\",\"seq\":{seq}}}").into_bytes()).collect();
        let mut export = Export::begin(&path, "edge-1").unwrap();
        messages.iter().for_each(|message| export.add(message).unwrap());
        let (records, bytes) = export.finish().unwrap();
        assert_eq!((records, bytes), (count as u64, fs::metadata(&path).unwrap().len()));
        (path, messages)
    }

    #[test]
    fn what_was_exported_is_read_again_any_number_of_times() {
        let directory = tempfile::tempdir().unwrap();
        for count in [0, 1, 10_000] {
            let (path, messages) = exported(directory.path(), count);
            let import = Import::open(&path).unwrap();
            assert_eq!((import.records, import.header.agent.as_str()), (count as u64, "edge-1"));
            for _ in 0..2 {
                assert_eq!(import.messages().unwrap().collect::<io::Result<Vec<_>>>().unwrap(), messages);
            }
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_that_is_cut_short_or_changed_gives_no_other_records_than_it_had() {
        let directory = tempfile::tempdir().unwrap();
        let (path, messages) = exported(directory.path(), 20);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(Import::open(&path), Err(Refused::Damaged { .. })), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            // Some bits of a zstd frame's header mean nothing.
            if let Ok(import) = Import::open(&path) {
                let read: Vec<Vec<u8>> = import.messages().unwrap().collect::<io::Result<_>>().unwrap();
                assert_eq!(read, messages, "changed at {at}");
            }
        }
        let longer = [&whole[..], b"x"].concat();
        fs::write(&path, longer).unwrap();
        assert!(matches!(Import::open(&path), Err(Refused::Damaged { .. })));
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "{\"format\":\"website-monitor-outbox\",\"version\":2,\"whatever\":1}\nxxx").unwrap();
        let refused = Import::open(&path).unwrap_err();
        assert!(matches!(refused, Refused::LaterVersion { found: 2, .. }), "{refused}");
    }

    #[test]
    fn an_export_that_is_not_finished_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let (path, _) = exported(directory.path(), 3);
        let mut export = Export::begin(&path, "edge-1").unwrap();
        export.add(b"{}").unwrap();
        drop(export);
        assert_eq!(Import::open(&path).unwrap().records, 3);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
