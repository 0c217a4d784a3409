use super::*;
use crate::figures::overview::Period;
use crate::web::fixture;

#[test]
#[ignore = "writes a page"]
fn dump() {
    let dir = std::env::var("PAGES_DIR").unwrap();
    let write = |name: &str, page: askama::Result<String>| {
        let page = page.unwrap();
        eprintln!("{name}: {} bytes", page.len());
        std::fs::write(format!("{dir}/{name}.html"), page).unwrap();
    };
    let all = fixture::overview(1_000, Period::Quarter);
    let at = std::time::Instant::now();
    let page = overview::render(&all, &crate::web::filter::Filter::of("period=90d"));
    eprintln!("{:?}", at.elapsed());
    write("index", page);
    let all = fixture::overview(1_000, Period::Day);
    write("group", overview::render(&all, &crate::web::filter::Filter::of("group=team&page=2&q=a")));
    write("detail", detail::render(&fixture::detail(7, Period::Day), None));
    write("unknown", detail::render(&fixture::detail(41, Period::Quarter), None));
    write("agents", agents::render(&fixture::agents(), fixture::now()));
    let public = crate::config::Public {
        title: "Status of the shop".into(),
        monitors: Default::default(),
        tags: [("team".to_owned(), "shop".to_owned())].into(),
    };
    let all = fixture::overview(60, Period::Month);
    write("public", public::render(&all, &public));
    write("public-detail", public::render_detail(&fixture::detail(23, Period::Month), &public));
    write("trouble", trouble::render(frame::Place::Elsewhere, "There is no such page", "a"));
}
