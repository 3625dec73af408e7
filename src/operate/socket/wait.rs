//! `wait`: a pause between two commands on a line, or until a server can be removed (HAProxy 3.0).

use super::change::number;
use super::{Call, Next};
use crate::operate::membership::Stays;
use crate::operate::named;
use crate::operate::text::Text;

/// A condition is looked at again after half of the time since the beginning, at least and at most after so many milliseconds.
const LOOK_MS: (u64, u64) = (1, 1_000);

const USAGE: &str = "Usage: wait {-h|<duration>} [condition [args...]]\n  - '-h' displays this help\n  - <duration> is the \
    maximum wait time, optionally suffixed by the unit among\n    'us', 'ms', 's', 'm', 'h', and 'd'. ; the default unit is \
    milliseconds.\n  - <condition> indicates what to wait for, no longer than the specified\n    duration. Supported \
    conditions are:\n    - <none> : by default, just sleep for the specified duration.\n    - srv-removable <px>/<sv> : \
    wait for this server to become removable.\n";

/// Milliseconds; nothing where that is no duration, is nothing, or is more than the 24 days that HAProxy's clock has.
fn duration_ms(word: &str) -> Option<u64> {
    let (count, unit) = number(word)?;
    let us = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let ms = u64::try_from(count).ok()?.checked_mul(us)?.div_ceil(1_000);
    (1..1 << 31).contains(&ms).then_some(ms)
}

pub(super) fn wait(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    let Some((delay, condition)) = call.words.split_first() else {
        return Next::Error("Expects a duration in milliseconds.\n");
    };
    let server = match (*delay, condition) {
        ("-h", _) => {
            out.bytes(USAGE.as_bytes());
            return Next::Done;
        }
        (_, []) => None,
        (_, ["srv-removable"]) => return Next::Error("Missing server name (<backend>/<server>).\n"),
        (_, ["srv-removable", server, ..]) => Some(server),
        _ => return Next::Error(USAGE),
    };
    let Some(delay_ms) = duration_ms(delay) else { return Next::Error("Invalid duration.\n") };
    let now_ms = call.proxy.reactor.now_ms();
    let elapsed_ms = now_ms.saturating_sub(call.began_ms);
    let is_over = elapsed_ms >= delay_ms;
    let look_ms = match server {
        None if is_over => return done(out),
        None => delay_ms,
        Some(server) => match named::server(&call.proxy.config(), Some(server)) {
            Err(unknown) => return failed(call, "Failed. ", unknown.words(), out),
            Ok(id) => match call.service.may_remove(id) {
                Ok(()) => return done(out),
                Err(stays @ Stays::Always(_)) => return failed(call, "Failed. ", stays.words(), out),
                Err(stays) if is_over => return failed(call, "Wait delay expired. ", stays.words(), out),
                Err(_) => (elapsed_ms + (elapsed_ms / 2).clamp(LOOK_MS.0, LOOK_MS.1)).min(delay_ms),
            },
        },
    };
    Next::Later(call.began_ms + look_ms)
}

fn done(out: &mut Text<'_>) -> Next {
    out.bytes(b"Done.\n");
    Next::Done
}

fn failed(call: &Call<'_>, what: &str, why: &str, out: &mut Text<'_>) -> Next {
    call.fail(&[what, why], out);
    Next::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (word, ms) in [
            ("1", Some(1)),
            ("250ms", Some(250)),
            ("2s", Some(2_000)),
            ("3m", Some(180_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("1500us", Some(2)),
            ("1us", Some(1)),
            ("0", None),
            ("-5", None),
            ("5x", None),
            ("x", None),
            ("", None),
            ("25d", None),
            ("9223372036854775807d", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(duration_ms(word), ms, "{word}");
        }
    }
}
