//! The files in `docs/recipes.md` and other pages, as they are read there.

use std::path::Path;

/// The block of `docs/recipes.md` that begins with ```` ```KIND NAME ````.
#[track_caller]
pub fn block(kind: &str, name: &str) -> String {
    block_of("docs/recipes.md", kind, name)
}

/// The same of another page.
#[track_caller]
pub fn block_of(path: &str, kind: &str, name: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let begin = format!("\n```{kind} {name}\n");
    let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{path} has no {begin:?}"));
    let (text, _) = rest.split_once("\n```\n").unwrap();
    format!("{text}\n")
}

/// The same with other texts in place of some; each must be there.
#[track_caller]
pub fn with(mut text: String, replaced: &[(&str, &str)]) -> String {
    for (old, new) in replaced {
        assert!(text.contains(old), "{old:?} is not in\n{text}");
        text = text.replace(old, new);
    }
    text
}
