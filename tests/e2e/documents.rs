//! The tests ask whether the programs accept the configurations that the documents show, and whether the links between
//! the documents lead to existing places.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::daemon::program;
use e2e::directory::directory;
use e2e::{agent, collector};
use serde_json::Value;

/// An example of a document: the place where it begins, the kind that its fence names, and its text.
struct Example {
    place: String,
    kind: String,
    text: String,
}

fn examples() -> Result<Vec<Example>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents: Vec<PathBuf> = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        documents.push(entry?.path());
    }
    let mut examples = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document)?;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(kind) = line.strip_prefix("```yaml") else { continue };
            let text: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let place = format!("{}:{}", document.display(), number + 1);
            examples.push(Example { place, kind: kind.trim().to_owned(), text: text.join("\n") + "\n" });
        }
    }
    Ok(examples)
}

/// Lets a program check an example. The files of `/etc/website-monitor` are made in a directory of the test instead.
fn check(name: &str, example: &Example, missing: &str) -> Result<()> {
    const PLACE: &str = "/etc/website-monitor/";
    let directory = directory("example")?;
    for part in example.text.split(PLACE).skip(1) {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let file: String = part.chars().take_while(|c| is_of_name(*c)).collect();
        fs::write(directory.join(file), "https://hooks.example/s3cret\n")?;
    }
    let config = directory.join("config.yaml");
    fs::write(&config, example.text.replace(PLACE, &format!("{}/", directory.display())) + missing)?;
    let ended = Command::new(program(name)?).arg("check-config").arg("-c").arg(&config).output()?;
    let told = [ended.stdout, ended.stderr].concat();
    ensure!(ended.status.success(), "{}: {}", example.place, String::from_utf8_lossy(&told));
    Ok(())
}

#[test]
fn each_configuration_in_the_documents_is_one_that_the_program_takes() -> Result<()> {
    let examples = examples()?;
    let of_kind = |kind: &str| examples.iter().filter(|example| example.kind == kind).count();
    assert!(of_kind("agent") >= 4 && of_kind("collector") >= 4, "examples went");
    for example in &examples {
        let has = |option: &str| example.text.lines().any(|line| line.starts_with(&format!("{option}:")));
        match example.kind.as_str() {
            "agent" if has("interval") => check(agent::PROGRAM, example, "")?,
            "agent" => check(agent::PROGRAM, example, "interval: 30\nmonitors: [{url: 'https://www.example.org/'}]\n")?,
            "collector" => check(collector::PROGRAM, example, "")?,
            // A list of all options has placeholders, so it is not checked. A compose file is read by another program.
            "options" | "compose" => {}
            other => anyhow::bail!("{}: `yaml {other}` is no kind of example", example.place),
        }
    }
    Ok(())
}

/// The names of the options that a JSON Schema has, each with its place: `outbox.path`, `rules[].name`.
fn options_of(schema: &Value, place: &str, found: &mut BTreeSet<String>) {
    let variants = schema["anyOf"].as_array().into_iter().flatten();
    for part in [schema, &schema["items"]].into_iter().chain(variants) {
        let suffix = if part["properties"].is_object() && part == &schema["items"] { "[]." } else { "." };
        for (name, option) in part["properties"].as_object().into_iter().flatten() {
            let place = if place.is_empty() { name.clone() } else { format!("{place}{suffix}{name}") };
            options_of(option, &place, found);
            found.insert(place);
        }
    }
}

/// The options that an example has, each with its place.
fn options_in(example: &serde_yaml::Value, place: &str, found: &mut BTreeSet<String>) {
    match example {
        serde_yaml::Value::Mapping(options) => {
            for (name, option) in options {
                let name = name.as_str().unwrap_or_default();
                let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
                options_in(option, &place, found);
                found.insert(place);
            }
        }
        serde_yaml::Value::Sequence(items) => {
            items.iter().for_each(|item| options_in(item, &format!("{place}[]"), found))
        }
        _ => {}
    }
}

#[test]
fn the_documents_name_each_option_of_the_programs_and_no_other() -> Result<()> {
    // Names below these are free.
    let free = ["tags", "labels", "headers", "environment", "properties"];
    let examples = examples()?;
    let lists: Vec<&Example> = examples.iter().filter(|example| example.kind == "options").collect();
    for (name, documents) in [
        (agent::PROGRAM, [("agent.md", "")].as_slice()),
        (collector::PROGRAM, &[("collector.md", ""), ("alerts.md", "alerts"), ("pages-and-api.md", "")]),
    ] {
        let printed = Command::new(program(name)?).arg("config-schema").output()?.stdout;
        let mut known = BTreeSet::new();
        options_of(&serde_json::from_slice(&printed)?, "", &mut known);
        let (mut shown, mut words) = (BTreeSet::new(), String::new());
        for (document, place) in documents {
            let own = lists.iter().find(|list| list.place.contains(document)).context("a list of options")?;
            options_in(&serde_yaml::from_str(&own.text).with_context(|| own.place.clone())?, place, &mut shown);
            words += &own.text;
        }
        // The options of the section are those of the agent, which has them in its list.
        words += &lists
            .iter()
            .filter(|list| list.place.contains("agent.md"))
            .map(|list| list.text.as_str())
            .collect::<String>();
        let is_free = |option: &&String| free.iter().any(|name| option.contains(&format!("{name}.")));
        let unknown: Vec<&String> =
            shown.iter().filter(|option| !is_free(option) && !known.contains(*option)).collect();
        ensure!(unknown.is_empty(), "{name} has no such options: {unknown:?}");
        let words: BTreeSet<&str> = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let is_named = |option: &&String| option.rsplit(['.', ']']).next().is_some_and(|name| words.contains(name));
        let unnamed: Vec<&String> = known.iter().filter(|option| !is_named(option)).collect();
        ensure!(unnamed.is_empty(), "the documents do not name options of {name}: {unnamed:?}");
    }
    Ok(())
}

/// Words of a document that begin so are paths.
const FOLDERS: [&str; 8] =
    ["agent/", "collector/", "settings/", "wire/", "tests/", "migrations/", "packaging/", "systemd/"];

#[test]
fn links_between_documents_and_paths_in_them_lead_to_what_is_there() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut documents = vec!["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "migrations/README.md"];
    let names: Vec<String> = fs::read_dir(root.join("docs"))?
        .map(|entry| Ok(format!("docs/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<_>>()?;
    documents.extend(names.iter().map(String::as_str));
    let anchors = |text: &str| -> Vec<String> {
        let heads = text.lines().filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
        let anchor = |head: &str| -> String {
            let kept = head.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
        };
        let named = text.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
        heads.map(anchor).chain(named).collect()
    };
    for document in documents {
        let path = root.join(document);
        let text = fs::read_to_string(&path)?;
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder))
                && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            ensure!(!is_path || root.join(word).exists(), "{document} names {word}, which is not there");
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            ensure!(target.exists(), "{document} links to {link}, which is not there");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).with_context(|| format!("{document}: {link}"))?;
                ensure!(anchors(&text).iter().any(|it| it == anchor), "{document} links to {link}: no such heading");
            }
        }
    }
    Ok(())
}
