use serde_json::{Value, json};

use super::*;

fn render(source: &str, data: Value) -> Result<String, Invalid> {
    let fields = data.as_object().unwrap();
    let data = fields
        .iter()
        .map(|(name, value)| (&**name, value))
        .collect();
    Template::parse(source)?.render(&data, &mut Budget::until(None), plain)
}

fn code(source: &str, data: Value) -> String {
    render(source, data).unwrap_err().code
}

fn data() -> Value {
    json!({
        "name": "ada", "empty": "", "count": 3, "price": 2.5, "vip": true, "nothing": null, "words": ["x", "y", "z"],
        "customer": {"name": "Ada", "orders": [{"id": 7}, {"id": 8}]}, "text": "  Grüß  Gott ",
    })
}

#[test]
fn writes_values_and_chooses_and_repeats() {
    for (source, expected) in [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("{{ name }}/{{name}}", "ada/ada"),
        (
            "{{ count }} {{ price }} {{ vip }} [{{ nothing }}]",
            "3 2.5 true []",
        ),
        (
            "{{ customer.orders[1].id }} {{ words[-1] }} {{ customer['name'] }}",
            "8 z Ada",
        ),
        (
            "{{ words }} {{ customer.orders }}",
            r#"["x","y","z"] [{"id":7},{"id":8}]"#,
        ),
        ("{% if vip %}a{% elif count %}b{% else %}c{% endif %}", "a"),
        (
            "{% if empty %}a{% elif count == 3 %}b{% else %}c{% endif %}",
            "b",
        ),
        ("{% if nothing or missing %}a{% else %}c{% endif %}", "c"),
        (
            "{% if not empty and count > 2 and count <= 3 and price != 3 %}y{% endif %}",
            "y",
        ),
        (
            "{% if name in ['bob', 'ada'] %}y{% endif %}{% if 'd' in name %}y{% endif %}{% if 'q' not in words %}y{% endif %}",
            "yyy",
        ),
        (
            "{% if missing is defined %}a{% endif %}{% if name is not defined %}b{% endif %}{% if nothing is none %}c{% endif %}",
            "c",
        ),
        (
            "{% for w in words %}{{ loop.index }}{{ w }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1x,2y,3z",
        ),
        (
            "{% for k, v in customer %}{{ k }}{% else %}none{% endfor %}",
            "nameorders",
        ),
        ("{% for w in [] %}{{ w }}{% else %}none{% endfor %}", "none"),
        (
            "{% for o in customer.orders %}{% for w in words %}{{ w }}{{ o.id }}{% endfor %}{% endfor %}",
            "x7y7z7x8y8z8",
        ),
        (
            "{{ (empty or name) | upper }} {{ missing | default('?') }} {{ nothing | default(1) }}",
            "ADA ? 1",
        ),
        ("a {{- name -}} b", "aadab"),
        ("a\n{%- if vip -%}\n b {%- endif %}\n", "ab\n"),
        (
            "{% raw %}{{ name }}{% endraw %}|{{ 'it\\'s }}' }}",
            "{{ name }}|it's }}",
        ),
        (
            "Tell {#vip#} callers the code {# 42 #}",
            "Tell {#vip#} callers the code {# 42 #}",
        ),
        (
            "{# {{ missing }} {% include %} #}{{ name }}{#}{{ name }}",
            "{# {{ missing }} {% include %} #}ada{#}ada",
        ),
        ("{#{{ name }}", "{#ada"),
        ("{{ -1 }} {{ 'x' }}", "-1 x"),
        (
            "{% if 9007199254740993 == 9007199254740992 %}same{% else %}not{% endif %} {% if 1 == 1.0 %}same{% endif %}",
            "not same",
        ),
    ] {
        assert_eq!(render(source, data()).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn every_filter_does_what_it_says() {
    let cases = [
        (
            "abs",
            "{{ -2.5 | abs }} {{ -9007199254740993 | abs }}",
            "2.5 9007199254740993",
        ),
        ("capitalize", "{{ 'aDA b' | capitalize }}", "Ada b"),
        (
            "default",
            "{{ empty | default('x') }}{{ missing | default('x') }}",
            "x",
        ),
        ("first", "{{ words | first }}{{ name | first }}", "xa"),
        (
            "int",
            "{{ 2.9 | int }}{{ ' 7 ' | int }} {{ '12345678901234567' | int }}",
            "27 12345678901234567",
        ),
        (
            "join",
            "{{ words | join('-') }}{{ words | join }}",
            "x-y-zxyz",
        ),
        ("last", "{{ words | last }}{{ name | last }}", "za"),
        (
            "length",
            "{{ words | length }}{{ customer | length }}{{ 'äb' | length }}",
            "322",
        ),
        ("lower", "{{ 'ÄB' | lower }}", "äb"),
        ("replace", "{{ name | replace('a', 'oo') }}", "oodoo"),
        (
            "round",
            "{{ 2.345 | round(2) }} {{ 2.5 | round }}",
            "2.35 3",
        ),
        (
            "title",
            "{{ \"o'neil the GREAT\" | title }}",
            "O'neil The Great",
        ),
        ("trim", "[{{ text | trim }}]", "[Grüß  Gott]"),
        ("upper", "{{ 'straße' | upper }}", "STRASSE"),
    ];
    let tried: Vec<_> = cases.iter().map(|(name, _, _)| *name).collect();
    let known: Vec<_> = FILTERS.iter().map(|filter| filter.name).collect();
    assert_eq!(tried, known);
    for (_, source, expected) in cases {
        assert_eq!(render(source, data()).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn says_what_is_wrong_and_where() {
    for (source, message) in [
        (
            "a\n {{ name | titlecase_it }}",
            "there is no filter `titlecase_it`; there are abs,",
        ),
        ("a\n {{ name | titlecase_it }}", "(line 2, column 12)"),
        ("{{ a | tojson }}", "no filter `tojson`"),
        ("{% set a = 1 %}", "no tag `set`"),
        ("{% macro x() %}", "no tag `macro`"),
        ("{{ range(9) }}", "`(` is not expected here"),
        ("{{ a ~ b }}", "`~` is not part"),
        ("{{ a + 1 }}", "`+` is not part"),
        ("{{ a * 9 }}", "`*` is not part"),
        ("{{ {} }}", "`{` is not part"),
        ("{{ [a] }}", "a list holds"),
        ("{{ [[1]] }}", "a literal is expected"),
        ("{{ }}", "the tag is not complete"),
        ("{{ a", "is not closed"),
        ("{{ 'a }}", "is not closed"),
        ("{% if %}", "the tag is not complete"),
        ("{% if a %}", "not closed with `{% endif %}`"),
        (
            "{% if a %}{% endfor %}",
            "`endfor` stands where `endif` is expected",
        ),
        ("{% else %}", "`else` ends nothing"),
        ("{% for x in %}{% endfor %}", "the tag is not complete"),
        ("{% for if in a %}{% endfor %}", "a name is expected"),
        ("{% raw %}", "has no `{% endraw %}`"),
        ("{% endif x %}", "ends nothing"),
        ("{{ a is odd }}", "there are the tests"),
        ("{{ a | round(1, 2) }}", "takes 0 to 1 values"),
        ("{{ 1.2.3 }}", "no number"),
        ("{{ 99999999999999999999 }}", "no number"),
    ] {
        let invalid = Template::parse(source).unwrap_err();
        assert_eq!(invalid.code, "invalid_template");
        assert!(
            invalid.message.contains(message),
            "{source}: {}",
            invalid.message
        );
        assert!(
            invalid.message.contains("(line "),
            "{source}: {}",
            invalid.message
        );
    }
}

/// Sources that would overflow the stack or never end in a parser without limits. Tests run on small stacks.
#[test]
fn is_bounded_before_it_is_read() {
    let many = |unit: &str, count: usize| unit.repeat(count);
    for source in [
        format!("{{{{ {}1 }}}}", many("-", 20_000)),
        format!("{{{{ {}a }}}}", many("not ", 20_000)),
        format!("{{{{ {}a }}}}", many("not ", 17)),
        format!("{{{{ 1{} }}}}", many("~1", 6_523)),
        format!("{{{{ a{} }}}}", many(".b", 8_702)),
        format!("{{{{ a{} }}}}", many("|upper", 8_702)),
        format!("{{{{ {}a{} }}}}", many("(", 17), many(")", 17)),
        format!("{{{{ a{}0{} }}}}", many("[a", 17), many("]", 17)),
        format!("{{{{ {}1{} }}}}", many("[", 400), many("]", 400)),
        format!("{{% if a %}}{}{{% endif %}}", many("{% elif a %}", 4_343)),
        format!("{}{}", many("{% if a %}", 17), many("{% endif %}", 17)),
        format!(
            "{}{}",
            many("{% for a in a %}", 17),
            many("{% endfor %}", 17)
        ),
        many("{{ a }}", 2_001),
        many("{% if a %}", 2_000),
        many("{% raw %}", 6_000),
        format!("{{{{ '{}' }}}}", many("x", 1_001)),
    ] {
        let start: String = source.chars().take(40).collect();
        let invalid = Template::parse(&source).unwrap_err();
        assert_eq!(invalid.code, "invalid_template", "{start}");
    }
    let widest = format!(
        "{}{{{{ a }}}}{}",
        many("{% if a %}", 16),
        many("{% endif %}", 16)
    );
    assert_eq!(render(&widest, json!({"a": 1})).as_deref(), Ok("1"));
    let longest = format!("{{{{ a{} }}}}", many(".a", 490));
    assert_eq!(code(&longest, json!({"a": 1})), "render_failed");
    let chosen = format!("{{% if b %}}{}{{% endif %}}", many("{% elif b %}", 1_990));
    assert_eq!(render(&chosen, json!({"b": 0})).as_deref(), Ok(""));
}

#[test]
fn costs_no_more_than_its_budget() {
    let long = "x".repeat(4_000);
    let list = vec![0; 10_000];
    let nested = |depth: usize, inner: &str| {
        let (open, close) = (
            "{% for a in l %}".repeat(depth),
            "{% endfor %}".repeat(depth),
        );
        format!("{open}{inner}{close}")
    };
    for source in [
        nested(2, ""),
        nested(16, "{{ t }}"),
        nested(1, "{{ l }}"),
        nested(1, "{% if l == l %}{% endif %}"),
        nested(1, "{% if 1 in l %}{% endif %}"),
        nested(1, "{{ l | join(t) }}"),
        nested(1, "{{ t | upper | lower | title | trim | length }}"),
        nested(1, "{% if t < t %}{% endif %}"),
        "{{ t | replace('x', t) }}".to_owned(),
        "{{ t | replace('x', 'xxxxxxxx') | replace('x', 'xxxxxxxx') | replace('x', 'xxxxxxxx') }}{{ l | join(t) }}".to_owned(),
    ] {
        let found = code(&source, json!({"l": list, "t": long}));
        assert_eq!(found, "render_too_costly", "{source}");
    }
    let mut late = Budget::until(Some(std::time::Instant::now()));
    let value = json!(list);
    let data = Data::from([("l", &value)]);
    let template = Template::parse("{% for a in l %}{{ a }}{% endfor %}").unwrap();
    let invalid = template.render(&data, &mut late, plain).unwrap_err();
    assert!(invalid.message.contains("time"), "{}", invalid.message);
}

#[test]
fn faults_of_data_never_quote_it() {
    for source in [
        "{{ missing }}",
        "{{ name.first }}",
        "{{ missing.first }}",
        "{% for a in name %}{% endfor %}",
        "{% for a in missing %}{% endfor %}",
        "{% for a, b in words %}{% endfor %}",
        "{{ words < name }}",
        "{{ missing < 1 }}",
        "{{ name | int }}",
        "{{ words | upper }}",
        "{{ words[vip] }}",
        "{{ count | length }}",
        "{{ 1 in count }}",
    ] {
        let invalid = render(source, data()).unwrap_err();
        assert_eq!(invalid.code, "render_failed", "{source}");
        assert!(!invalid.message.contains("ada"), "{source}");
    }
}

#[test]
fn tells_what_it_looks_up() {
    let source = "{{ secrets.A }}{{ b.c | upper }}{{ d }}{% for e in f.g %}{{ e.h }}{{ loop.index }}{{ s['k'] }}{% endfor %}{{ e }}";
    let template = Template::parse(source).unwrap();
    let found: Vec<_> = template
        .lookups()
        .iter()
        .map(|l| (&*l.name, l.field.as_deref(), l.is_alone))
        .collect();
    assert_eq!(
        found,
        [
            ("secrets", Some("A"), true),
            ("b", Some("c"), false),
            ("d", None, false),
            ("f", Some("g"), false),
            ("s", Some("k"), false),
            ("e", None, false),
        ]
    );
}
