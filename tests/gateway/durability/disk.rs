//! Small disks of a test's own, to be cut off, filled and frozen: ext4 in a file over a loop
//! device, and tmpfs.
//!
//! What always holds: a disk that was mounted is unmounted, and its loop device goes with it. Where
//! mounting is not possible (without root, in most containers), a loud notice says so and the test
//! ends.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Config, Gateway};

/// `EXT4_IOC_SHUTDOWN` without writing out the journal: to the file system, this is a power cut.
const CUT: &str = "open(my $disk, '<', $ARGV[0]) or die $!; \
                   my $flags = pack('L', 2); ioctl($disk, 0x8004587d, $flags) or die $!";

/// A mounted disk.
pub(super) struct Disk {
    directory: TempDir,
    mounted: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Ext4,
    Tmpfs { bytes: u64 },
}

impl Disk {
    /// An ext4 of this size, which becomes read-only at an error, as Debian's do.
    pub(super) fn ext4(test: &str, bytes: u64) -> Option<Self> {
        let disk = Self::new(Kind::Ext4);
        fs::File::create(disk.image()).unwrap().set_len(bytes).unwrap();
        run("mkfs.ext4", &[OsStr::new("-q"), disk.image().as_os_str()])
            .expect("tests/run installs e2fsprogs");
        disk.mounted_for(test)
    }

    pub(super) fn tmpfs(test: &str, bytes: u64) -> Option<Self> {
        Self::new(Kind::Tmpfs { bytes }).mounted_for(test)
    }

    fn new(kind: Kind) -> Self {
        let disk = Self { directory: TempDir::new().unwrap(), mounted: false, kind };
        fs::create_dir(disk.path()).unwrap();
        disk
    }

    fn mounted_for(mut self, test: &str) -> Option<Self> {
        match self.try_mount() {
            Ok(()) => {
                fs::set_permissions(self.path(), Permissions::from_mode(0o700)).unwrap();
                Some(self)
            }
            Err(said) => {
                let notice =
                    format!("NOTICE: {test} WAS NOT RUN, since nothing can be mounted here: {said}\n");
                // Not `eprintln!`, because a runner hides the output of a passing test.
                let _ = fs::File::options()
                    .write(true)
                    .open("/dev/tty")
                    .map(|mut it| it.write_all(notice.as_bytes()));
                eprint!("{notice}");
                None
            }
        }
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// A gateway that keeps its data on this disk. It is not started.
    pub(super) fn gateway(&self, arrange: impl FnOnce(&mut Config)) -> Gateway {
        let gateway = Gateway::prepare(arrange);
        symlink(self.path(), gateway.data()).unwrap();
        gateway
    }

    fn try_mount(&mut self) -> Result<(), String> {
        let (image, path) = (self.image(), self.path());
        match self.kind {
            Kind::Ext4 => run(
                "mount",
                &["-o".as_ref(), "loop,errors=remount-ro".as_ref(), image.as_os_str(), path.as_os_str()],
            ),
            Kind::Tmpfs { bytes } => {
                let options = format!("size={bytes}");
                run(
                    "mount",
                    &[
                        "-t".as_ref(),
                        "tmpfs".as_ref(),
                        "-o".as_ref(),
                        options.as_ref(),
                        "tmpfs".as_ref(),
                        path.as_os_str(),
                    ],
                )
            }
        }?;
        self.mounted = true;
        Ok(())
    }

    /// Cuts its power: unsynchronised data is gone.
    pub(super) fn cut_power(&self) {
        run("perl", &["-e".as_ref(), CUT.as_ref(), self.path().as_os_str()]).unwrap();
    }

    /// Unmounts the disk and mounts it again. No process may use it meanwhile.
    pub(super) fn remount(&mut self) {
        run("umount", &[self.path()]).unwrap();
        self.mounted = false;
        self.try_mount().unwrap();
    }

    /// Has the file system find an error of its own, at which it lets no process write any more.
    pub(super) fn freeze(&self) {
        let device = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let path = self.path();
        let line =
            device.lines().find(|line| line.split(' ').nth(4) == path.to_str()).expect("it is mounted");
        let (_, source) = line.split_once(" - ").expect("the format of mountinfo");
        let device =
            Path::new(source.split(' ').nth(1).unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
    }

    /// Writes a file until there is no room for more.
    pub(super) fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        for bytes in [64 * 1024, 4096, 512, 1] {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
    }

    /// Removes that file.
    pub(super) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily where a process still has it open after a failed test: it goes with its last user.
        if self.mounted && run("umount", &[self.path()]).is_err() {
            let _ = run("umount", &["-l".as_ref(), self.path().as_os_str()]);
        }
    }
}

fn run(program: &str, arguments: &[impl AsRef<OsStr>]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
