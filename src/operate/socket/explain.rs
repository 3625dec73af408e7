//! `explain METHOD HOST PATH ...`, `explain connection ...`: what would become of such a request or connection now, a step a
//! line.

use super::{Call, Next};
use crate::operate::explain::{self, Question};
use crate::operate::text::Text;

pub(super) fn explain(call: &mut Call<'_>, out: &mut Text<'_>) -> Next {
    if call.step == 0 {
        match ask(call) {
            Ok(()) => {}
            Err(message) => return Next::Error(message),
        }
    }
    let told = &mut call.session.explained;
    let goes_on = told.as_ref().is_some_and(|told| explain::line(told, call.step, false, out));
    if goes_on {
        return Next::More;
    }
    *told = None;
    Next::Done
}

/// Decides, all at once; what is told line by line is what was so at one moment.
fn ask(call: &mut Call<'_>) -> Result<(), &'static str> {
    let config = call.proxy.config();
    let (mut question, more) = match call.words {
        [explain::CONNECTION, more @ ..] => (Question::about_connection(&config)?, more),
        [method, host, path, more @ ..] => {
            (Question::new(&config, [method, host, path].map(|word| word.as_bytes()))?, more)
        }
        _ => return Err(explain::USAGE),
    };
    for pair in more.chunks(2) {
        let &[what, value] = pair else { return Err(explain::USAGE) };
        question.add(&config, what.as_bytes(), value.as_bytes())?;
    }
    call.session.explained = Some(question.answer(call.proxy)?);
    Ok(())
}
