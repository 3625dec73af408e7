//! `set maxconn global` and `set maxconn frontend`.

use super::change::number;
use super::{Call, Next};
use crate::operate::text::Text;

/// A whole number, nothing below zero among them.
fn count(word: Option<&&str>) -> Result<usize, &'static str> {
    match word.and_then(|word| number(word)) {
        Some((count, "")) => usize::try_from(count).map_err(|_| "Value out of range.\n"),
        _ => Err("Integer value expected.\n"),
    }
}

pub(super) fn global(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if call.words.is_empty() {
        return Next::Error("Expects an integer value.\n");
    }
    match count(call.words.first()) {
        Err(words) => return Next::Error(words),
        Ok(most) => {
            if let Err(planned) = call.proxy.set_maxconn_of_all(most) {
                call.begin_error(out);
                out.bytes(b"Value out of range: the tables and the memory budget have ");
                out.long(planned as u64);
                out.bytes(b" connections (limits.connections).\n");
            }
        }
    }
    Next::Done
}

pub(super) fn listener(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    let Some(name) = call.words.first() else { return Next::Error("A frontend name is expected.\n") };
    let config = call.proxy.config();
    let Some((id, _)) = config.listeners().find(|(_, listener)| listener.name == *name) else {
        return Next::Error("No such frontend.\n");
    };
    match count(call.words.get(1)) {
        Err(words) => Next::Error(words),
        Ok(most) => {
            call.proxy.set_listener_maxconn(id, most);
            Next::Done
        }
    }
}
