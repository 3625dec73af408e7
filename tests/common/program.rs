//! A program that another one can take the place of, for upgrades in place.

use super::process::{command, copy_program, is_native, temporary};
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
