//! What is done to the process: `reload` in the words of HAProxy's master socket, and `upgrade`.
//!
//! Both take a while. What became of them is told as it is in the log; who asked may leave before, and changes nothing by that.

use super::{Call, Next};
use crate::operate::text::Text;
use std::path::Path;

pub(super) fn reload(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    if !call.words.is_empty() {
        return Next::Error("'reload' takes no arguments.\n");
    }
    Next::Told(Box::pin(call.service.reload_told()))
}

pub(super) fn upgrade(call: &mut Call<'_>, _: &mut Text<'_>) -> Next {
    if call.words.len() > 1 {
        return Next::Error("'upgrade' takes the path of one program.\n");
    }
    let Some(upgrade) = call.service.upgrade else { return Next::Error("A demo cannot be upgraded.\n") };
    let begun = upgrade.begin(call.proxy, call.words.first().map(Path::new));
    if let Err(why) = &begun {
        log::error!("upgrade: refused: {why}");
    }
    Next::Told(Box::pin(async move {
        begun?;
        upgrade.outcome().await
    }))
}
