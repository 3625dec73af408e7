//! The file that says what everything takes. Every key is needed, none is unknown, and nothing has a default.

use std::collections::HashMap;
use std::time::Duration;

/// A kind of page: how often it is asked for, and how long a processor works on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Page {
    pub share: f64,
    pub work: Duration,
}

/// The file's content, as far as the shop is concerned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters {
    pub server_workers: usize,
    pub server_processors: usize,
    pub server_contention: f64,
    pub server_sessions: usize,
    pub server_rebuild: Duration,
    pub database_workers: usize,
    pub database_contention: f64,
    pub database_call: Duration,
    pub spread: f64,
    pub session_pages: f64,
    pub session_think: Duration,
    pub session_patience: Duration,
    pub goal: Duration,
    pub goal_percentile: f64,
    pub step_settle: Duration,
    pub step_measure: Duration,
    pub pages: Vec<Page>,
}

impl Parameters {
    /// Reads the file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut values = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(format!("{}: no `=`", number + 1))?;
            if values.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
                return Err(format!("{}: {}: given twice", number + 1, key.trim()));
            }
        }
        let mut take = |key: &str| values.remove(key).ok_or(format!("{key}: missing"));
        let pages = ["product", "search", "basket"].map(|kind| {
            Ok(Page {
                share: number(&format!("page.{kind}.share"), &mut take)?,
                work: duration(&format!("page.{kind}.work"), &mut take)?,
            })
        });
        let parameters = Self {
            server_workers: count("server.workers", &mut take)?,
            server_processors: count("server.processors", &mut take)?,
            server_contention: number("server.contention", &mut take)?,
            server_sessions: count("server.sessions", &mut take)?,
            server_rebuild: duration("server.rebuild", &mut take)?,
            database_workers: count("database.workers", &mut take)?,
            database_contention: number("database.contention", &mut take)?,
            database_call: duration("database.call", &mut take)?,
            spread: number("spread", &mut take)?,
            session_pages: number("session.pages", &mut take)?,
            session_think: duration("session.think", &mut take)?,
            session_patience: duration("session.patience", &mut take)?,
            goal: duration("goal", &mut take)?,
            goal_percentile: number("goal.percentile", &mut take)?,
            step_settle: duration("step.settle", &mut take)?,
            step_measure: duration("step.measure", &mut take)?,
            pages: pages.into_iter().collect::<Result<_, String>>()?,
        };
        // What is left is of the balancer and of the report.
        const OTHERS: [&str; 5] = ["maxconn", "stick.wait", "unit", "watts.board", "watts.server"];
        match values.keys().find(|key| !OTHERS.contains(&key.as_str())) {
            Some(key) => Err(format!("{key}: no such key")),
            None => Ok(parameters),
        }
    }
}

type Take<'a> = &'a mut dyn FnMut(&str) -> Result<String, String>;

fn number(key: &str, take: Take<'_>) -> Result<f64, String> {
    let value = take(key)?.parse::<f64>().map_err(|error| format!("{key}: {error}"))?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(format!("{key}: no number from 0 on")) }
}

fn count(key: &str, take: Take<'_>) -> Result<usize, String> {
    match take(key)?.parse() {
        Ok(0) | Err(_) => Err(format!("{key}: no whole number from 1 on")),
        Ok(value) => Ok(value),
    }
}

fn duration(key: &str, take: Take<'_>) -> Result<Duration, String> {
    let value = take(key)?;
    let milliseconds = value.strip_suffix("ms").and_then(|digits| digits.parse().ok());
    milliseconds.map(Duration::from_millis).ok_or(format!("{key}: no duration such as 250ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../parameters");

    #[test]
    fn the_file_is_whole_and_every_key_is_needed() {
        let whole = Parameters::parse(FILE).unwrap();
        assert!((whole.pages.iter().map(|page| page.share).sum::<f64>() - 100.0).abs() < 1e-9);
        let keys = FILE.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
        for key in keys.map(|line| line.split('=').next().unwrap().trim()) {
            let without: String = FILE
                .lines()
                .filter(|line| line.split('=').next().unwrap().trim() != key)
                .map(|l| format!("{l}\n"))
                .collect();
            let of_others = ["maxconn", "stick.wait", "unit", "watts.board", "watts.server"].contains(&key);
            assert_eq!(Parameters::parse(&without).is_ok(), of_others, "{key}");
        }
        assert_eq!(Parameters::parse(&format!("{FILE}\nnew = 1\n")), Err("new: no such key".into()));
    }
}
