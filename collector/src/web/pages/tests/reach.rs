//! Tests of who can use the pages: by keyboard, with a screen reader, without scripts, and under a strict policy.

use std::collections::BTreeSet;

use super::each;
use super::page::Read;

#[test]
fn every_page_has_a_language_a_title_one_heading_and_landmarks() {
    for (name, page) in each() {
        assert!(page.starts_with("<!DOCTYPE html>"), "{name}");
        let read = Read::new(&page);
        assert_eq!(read.attribute("lang"), Some("en"), "{name}");
        assert!(read.all("title").any(|it| it.is_within("head") && !it.text().is_empty()), "{name}");
        assert!(!read.one("h1").text().is_empty(), "{name}");
        assert_eq!(read.one("main").attribute("id"), Some("main"), "{name}");
        read.one("header");
        read.one("footer");
        let first = read.all("a").next().unwrap();
        assert_eq!((first.class(), first.attribute("href")), ("skip", Some("#main")), "{name}");
        for nav in read.all("nav") {
            assert!(nav.attribute("aria-label").is_some(), "{name}");
        }
    }
}

#[test]
fn no_page_has_a_style_or_a_script_of_its_own() {
    for (name, page) in each() {
        for element in Read::new(&page).all("*") {
            assert_ne!(element.name(), "style", "{name}");
            if element.name() == "script" {
                let own = element.attribute("src").is_some_and(|src| src.starts_with("/assets/"));
                assert!(own && element.text().is_empty(), "{name}");
            }
            for (attribute, value) in element.attributes() {
                assert!(attribute != "style" && !attribute.starts_with("on"), "{name}: {attribute}");
                if ["href", "src", "action"].contains(&attribute) {
                    assert!(value.starts_with(['/', '#', '?']) && !value.starts_with("//"), "{name}: {value}");
                }
            }
        }
    }
}

#[test]
fn tables_pictures_and_fields_say_what_they_are() {
    for (name, page) in each() {
        let read = Read::new(&page);
        for head in read.all("th") {
            assert!(head.attribute("scope").is_some(), "{name}: {}", head.text());
        }
        for picture in read.all("svg") {
            let says = picture.attribute("role") == Some("img") && picture.attribute("aria-label").is_some();
            let is_hidden = picture.attribute("aria-hidden") == Some("true") || picture.is_within("p");
            assert!(says || is_hidden, "{name}: {}", picture.class());
        }
        for field in read.all("input").chain(read.all("select")) {
            assert!(field.is_within("label") || field.attribute("type") == Some("hidden"), "{name}");
        }
        for time in read.all("time") {
            assert!(time.attribute("datetime").is_some_and(|at| at.ends_with('Z')), "{name}");
        }
    }
}

#[test]
fn what_is_referred_to_is_there_and_once() {
    for (name, page) in each() {
        let read = Read::new(&page);
        let ids: Vec<&str> = read.all("*").filter_map(|it| it.attribute("id")).collect();
        let known: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), known.len(), "{name}: {ids:?}");
        for element in read.all("*") {
            let label = element.attribute("aria-labelledby");
            let target = element.attribute("href").and_then(|href| href.strip_prefix('#'));
            for id in label.into_iter().chain(target) {
                assert!(known.contains(id), "{name}: {id}");
            }
        }
        for details in read.all("details") {
            assert!(details.attribute("id").is_some(), "{name}: what is opened is to stay so");
        }
    }
}
