//! Power cuts: only what had reached the device at that moment is there afterwards.
//!
//! Needs root and loop devices: an ordinary user's run is done again as root.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use crate::device::{self, Device};
use crate::history::{End, History};
use crate::process::{Moment, PROGRAM, Running};
use crate::{directory, is_full, say};

const IMAGE: u64 = 96 * 1024 * 1024;
/// Cuts that one file system goes through before a new one is made.
const CHAIN: u64 = 20;
const PROOF: &[u8] = &[b'x'; 10_000];

#[test]
fn a_power_cut_loses_nothing_that_was_answered_for() {
    if !ground::is_root() {
        return ground::again_as_root(ground::this_test!(), "only root may attach a loop device");
    }
    // In another mount namespace its path would be another one.
    LazyLock::force(&PROGRAM);
    let images = if is_full() { 200 } else { 6 };
    // A thread of its own, since it gets a mount namespace of its own.
    let cut = std::thread::spawn(move || {
        let directory = directory();
        ground::private_mounts().map_err(|error| format!("no mount namespace: {error}"))?;
        Device::make(&directory.path().join("try"), IMAGE)?;
        drop(Device::mount(&directory.path().join("try"), &directory.path().join("mount"))?);
        Ok::<_, String>(cuts(directory.path(), images))
    });
    match cut.join() {
        Ok(Ok(figures)) => say(&figures),
        Ok(Err(reason)) => ground::not_run(ground::this_test!(), &reason),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn cuts(directory: &Path, images: u64) -> String {
    let [image, kept, looked_at, mount] = ["image", "kept", "looked-at", "mount"].map(|name| directory.join(name));
    let mut history = History::default();
    for n in 0..images {
        if n % CHAIN == 0 {
            history = history.restarted();
            Device::make(&image, IMAGE).expect("a file system can be made");
        }
        let device = Device::mount(&image, &mount).expect("what a power cut left can be mounted");
        write(&device.path().join("synced"), true);
        let (told, late) = Running::start("work", n, &device.path().join("outbox")).until(Moment::any(n), || {
            write(&device.path().join("written"), false);
            device.cut(&kept).expect("the power can be cut");
        });
        history.learn(&told, End::PowerCut);
        // Before the power is gone for all, a sync whose journal was cut off may still be answered with success. No
        // real machine tells that to anybody.
        history.learn_late(&late);
        drop(device);

        device::copy(&kept, &looked_at).expect("there is room for a copy");
        let device = Device::mount(&looked_at, &mount).expect("what a power cut left can be mounted");
        // Otherwise this was no power cut, or no disk.
        let read = |name| fs::read(device.path().join(name)).unwrap_or_default();
        assert_eq!(read("synced"), PROOF, "a synced file must survive");
        assert_ne!(read("written"), PROOF, "a file that was only written must not survive");
        let found = Running::start("list", n, &device.path().join("outbox")).join();
        let evidence = Evidence(&kept);
        history.compare(&found, End::PowerCut);
        drop((evidence, device));
        // The next incarnation finds what the cut left, not what was repaired while looking.
        fs::rename(&kept, &image).expect("an image can be renamed");
    }
    format!(
        "power cut: {images} images, all opened, {} records answered for, {} delivered, {} declared dropped, 0 lost",
        history.kept, history.sent, history.declared
    )
}

/// What a power cut left, which is kept when it is not what it should be.
struct Evidence<'a>(&'a Path);

impl Drop for Evidence<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("power-cut-{}.img", std::process::id()));
            match device::copy(self.0, &copy) {
                Ok(()) => say(&format!("what the power cut left is kept as {}", copy.display())),
                Err(error) => say(&error),
            }
        }
    }
}

/// Writes a file that was not there, durably or not.
fn write(path: &Path, durably: bool) {
    fs::remove_file(path).or_else(|error| if path.exists() { Err(error) } else { Ok(()) }).expect("a file can go");
    let mut file = File::create(path).expect("a file can be made");
    file.write_all(PROOF).expect("a file can be written");
    if durably {
        file.sync_all().expect("a file can be synced");
        File::open(path.parent().expect("a parent"))
            .and_then(|parent| parent.sync_all())
            .expect("so can its directory");
    }
}
