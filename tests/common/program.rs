//! A program that another takes the place of: its file, its upgrade, its children.
//!
//! One under user-mode emulation cannot execute itself: natively, and on the emulated board.

use super::eventually;
use super::process::{Beelance, command, copy_program, is_native, temporary};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of the binary that another file can take the place of.
pub struct Program(pub PathBuf);

impl Program {
    pub fn new() -> Self {
        let path = temporary("program");
        copy_program(command().get_program().as_ref(), &path);
        Self(path)
    }

    pub fn command(&self) -> Command {
        Command::new(&self.0)
    }

    /// Another copy is at its path from now on.
    pub fn renew(&self) {
        self.put(command().get_program().as_ref());
    }

    /// A script is there instead.
    pub fn become_script(&self, script: &str) {
        self.put_text(&format!("#!/bin/sh\n{script}\n"));
    }

    pub fn put_text(&self, text: &str) {
        let file = temporary("text");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        self.put(&file);
        fs::remove_file(file).unwrap();
    }

    /// A package manager writes beside and renames.
    fn put(&self, file: &Path) {
        let beside = temporary("renewed");
        copy_program(file, &beside);
        fs::rename(beside, &self.0).unwrap();
    }

    pub fn inode(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub fn can_show() -> bool {
    if !is_native() {
        eprintln!("SKIPPED in an emulator: a program that executes itself");
    }
    is_native()
}

/// Waits until the log says so for the `count`th time.
#[track_caller]
pub fn wait_for(beelance: &Beelance, text: &str, count: usize) {
    beelance.wait_log(&format!("{text} ({count})"), |lines| {
        (lines.iter().filter(|line| line.contains(text)).count() >= count).then_some(())
    });
}

/// Upgrades it for the `number`th time, and waits until the new program serves.
#[track_caller]
pub fn upgrade(beelance: &Beelance, number: usize) {
    beelance.signal(Signal::SIGUSR2);
    wait_for(beelance, &format!("upgrade {number}: it took over"), 1);
}

/// The children of a process, those among them that have ended and nobody has waited for.
pub fn children(pid: u32) -> Vec<(u32, char)> {
    let of = |entry: fs::DirEntry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut words = stat.rsplit_once(") ")?.1.split(' ');
        let state = words.next()?.chars().next()?;
        (words.next()?.parse::<u32>().ok()? == pid).then_some((child, state))
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.unwrap())).collect()
}

#[track_caller]
pub fn no_children_are_left(beelance: &Beelance) {
    eventually("all children have ended, and none is a zombie", || children(beelance.pid()).is_empty().then_some(()));
}

/// The files that a program which is not static loads, at the same places below `root`.
pub fn copy_libraries(program: &Path, root: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    for word in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = root.join(word.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(word, place).unwrap();
    }
}
