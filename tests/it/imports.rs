//! No two files import each other, neither directly nor by way of other files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Module = Vec<String>;

/// The text of each file below a crate's root, by its module. A file's own unit tests are left out, because `super` means
/// the file itself there.
fn read_files(directory: &Path, module: &Module, files: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner: Module = module.iter().cloned().chain([name.to_owned()]).collect();
        if path.is_dir() {
            read_files(&path, &inner, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = module.is_empty() && ["lib", "main"].contains(&name);
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter_map(|line| line.split("//").next());
            files.insert(
                if is_root { Vec::new() } else { inner },
                code.collect::<Vec<_>>().join("\n"),
            );
        }
    }
}

fn tokens(code: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match rest.find(|c| !is_word(c)) {
            _ if rest.starts_with("::") => 2,
            Some(0) => first.len_utf8(),
            end => end.unwrap_or(rest.len()),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The paths that begin here: `a::b`, or `a::{b, c::d}`, each behind the prefix. Gives what follows behind them.
fn paths<'a, 't>(
    mut tokens: &'t [&'a str],
    mut path: Vec<&'a str>,
    found: &mut Vec<Vec<&'a str>>,
) -> &'t [&'a str] {
    while let [word, rest @ ..] = tokens {
        tokens = rest;
        if *word == "{" {
            while let Some(next) = tokens.first().filter(|next| **next != "}") {
                tokens =
                    if *next == "," { &tokens[1..] } else { paths(tokens, path.clone(), found) };
            }
            return tokens.get(1..).unwrap_or_default();
        }
        path.push(word);
        match tokens {
            ["::", rest @ ..] => tokens = rest,
            _ => break,
        }
    }
    found.push(path);
    tokens
}

/// The other files that a file names.
fn imports(module: &Module, files: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let tokens = tokens(&files[module]);
    let mut found = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        // The middle of a path is no beginning of one, and a single word is no path.
        let begins = position == 0 || tokens[position - 1] != "::";
        if begins && *token != "{" && tokens.get(position + 1) == Some(&"::") {
            paths(&tokens[position..], Vec::new(), &mut found);
        }
    }
    let file_of = |path: Vec<&str>| {
        let supers = path.iter().take_while(|word| **word == "super").count();
        let names =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let full = match path.as_slice() {
            ["crate", rest @ ..] => names(rest),
            ["self", rest @ ..] => [module.as_slice(), &names(rest)].concat(),
            ["super", ..] => [&module[..module.len() - supers], &names(&path[supers..])].concat(),
            rest => [module.as_slice(), &names(rest)].concat(),
        };
        // The root only declares what there is.
        (1..=full.len())
            .rev()
            .map(|length| full[..length].to_vec())
            .find(|file| files.contains_key(file))
    };
    found.into_iter().filter_map(file_of).filter(|file| file != module).collect()
}

/// The files in circles, each with what it imports of the others there.
fn in_circles(root: &Path) -> Vec<String> {
    let mut files = BTreeMap::new();
    read_files(root, &Vec::new(), &mut files);
    let mut left: BTreeMap<Module, BTreeSet<Module>> =
        files.keys().map(|module| (module.clone(), imports(module, &files))).collect();
    loop {
        let before = left.len();
        // A file that imports none of the others, or that none of them imports, is in no circle.
        let imported: BTreeSet<Module> = left.values().flatten().cloned().collect();
        left.retain(|module, _| imported.contains(module));
        let names: BTreeSet<Module> = left.keys().cloned().collect();
        left.values_mut().for_each(|imports| imports.retain(|module| names.contains(module)));
        left.retain(|_, imports| !imports.is_empty());
        if left.len() == before {
            let name = |module: &Module| module.join("::");
            let line = |(module, imports): (&Module, &BTreeSet<Module>)| {
                let imports: Vec<String> = imports.iter().map(name).collect();
                format!("{} imports {}", name(module), imports.join(", "))
            };
            return left.iter().map(line).collect();
        }
    }
}

#[test]
fn no_two_files_import_each_other() {
    for root in ["src", "examples/archive/src", "examples/transcript/src"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        if root != "src" && !path.exists() {
            continue; // The published package holds the library alone.
        }
        let circles = in_circles(&path);
        assert!(circles.is_empty(), "below {root}: {circles:#?}");
    }
}

#[test]
fn files_that_import_each_other_are_found() {
    let root = tempfile::tempdir().unwrap();
    for (file, code) in [
        ("lib.rs", "mod parent; mod alone; pub use parent::child::Child;"),
        ("parent.rs", "mod child; use crate::{alone::Alone, parent::child::{self, Child}};"),
        ("parent/child.rs", "use super::Parent; // and nothing of crate::alone"),
        ("alone.rs", "#[cfg(test)]\nmod tests { use super::Alone; use crate::parent::Parent; }"),
    ] {
        let path = root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, code).unwrap();
    }
    let circles = in_circles(root.path());
    assert_eq!(circles, ["parent imports parent::child", "parent::child imports parent"]);
}
