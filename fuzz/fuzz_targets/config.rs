//! Any text as a configuration: every error at once and in words, never a panic. No file and no variable is read.

#![no_main]

use alluvium::config::{Config, Environment, Flags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let environment = Environment::fixed([("NAME", "value")], [("secret", "text\n")]);
    match Config::parse(text, &environment, &Flags::default()) {
        Ok(config) => {
            for name in config.tables.keys() {
                assert!(!config.table(name).on_conflict.is_empty());
            }
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});
