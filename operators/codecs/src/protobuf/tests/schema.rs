//! What stands in a schema file decides whether a pipeline can be built, and the errors say why not.

use super::*;
use crate::protobuf;

/// Loads message `m.M` from a file that declares it so.
fn load(declarations: &str) -> Result<protobuf::Message, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.proto"), declarations).unwrap();
    protobuf::Message::load(&Context { dir: dir.path().into() }, "m.proto", "m.M")
}

fn problems(declarations: &str) -> Vec<(String, String, String)> {
    let problems = load(declarations).err().unwrap();
    problems
        .into_iter()
        .map(|problem| (problem.at.join("."), problem.message, problem.help.unwrap_or_default()))
        .collect()
}

fn proto3(body: &str) -> String {
    format!("syntax = \"proto3\";\npackage m;\n{body}")
}

#[test]
fn fields_that_cannot_be_columns_are_refused_by_name() {
    let all = problems(&proto3(
        "message M {\n  string ok = 1;\n  M nested = 2;\n  repeated int32 many = 3;\n  map<string, int32> map = 4;\n  \
         oneof choice { int32 one = 5; string other = 6; }\n}",
    ));
    let told: Vec<_> = all.iter().map(|(at, message, _)| (at.as_str(), message.as_str())).collect();
    let refused = |field: &str, what: &str| format!("field `{field}` of `m.M` is {what}, which cannot be a column");
    let expected = [
        refused("nested", "a message"),
        refused("many", "repeated"),
        refused("map", "a map"),
        refused("one", "part of a oneof"),
        refused("other", "part of a oneof"),
    ];
    assert_eq!(told, expected.iter().map(|message| ("message", message.as_str())).collect::<Vec<_>>());
    assert!(all.iter().all(|(_, _, help)| !help.is_empty()));

    let proto2 = "syntax = \"proto2\"; package m; message M { required int32 id = 1; optional group G = 2 { optional \
                  int32 x = 1; } optional int32 ok = 3 [default = 5]; }";
    let all = problems(proto2);
    assert_eq!(all[0].1, refused("id", "required"));
    assert_eq!(all[1].1, refused("g", "a group"));
    assert_eq!(all.len(), 2);
}

#[test]
fn a_message_without_fields_is_refused() {
    let all = problems(&proto3("message M {}"));
    assert_eq!(all[0].1, "`m.M` has no fields, so its rows would have no columns");
}

#[test]
fn an_unknown_message_is_answered_with_those_there_are() {
    let all = problems(&proto3("message N { message Inner { int32 x = 1; } map<string, int32> map = 1; }"));
    assert_eq!(all[0].0, "message");
    assert!(all[0].1.ends_with("m.proto has no message `m.M`"), "{}", all[0].1);
    assert_eq!(all[0].2, "it has `m.N`, `m.N.Inner`");
    assert_eq!(problems(&proto3(""))[0].2, "the file declares no message at all");
}

#[test]
fn a_file_that_does_not_compile_is_told_with_line_and_column() {
    for (text, place) in [
        ("message M {\n  strin x = 1;\n}", "m.proto:4:3: "),
        ("message M {\n  string x = 1\n}", "m.proto:5:1: "),
        ("import \"gone.proto\";", "m.proto:3:1: "),
    ] {
        let all = problems(&proto3(text));
        assert_eq!((all.len(), all[0].0.as_str()), (1, "schema"));
        assert!(all[0].1.contains("m.proto does not compile: ") && all[0].1.contains(place), "{}", all[0].1);
    }
}

#[test]
fn a_missing_file_is_told_with_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let context = Context { dir: dir.path().into() };
    let load = || protobuf::Message::load(&context, "report.proto", "m.M").err().unwrap().remove(0);
    assert_eq!(load().help.unwrap(), "the path starts in the folder of the pipeline file");
    std::fs::write(dir.path().join("raport.proto"), "").unwrap();
    let problem = load();
    assert_eq!(problem.at, ["schema"]);
    assert!(problem.message.starts_with("cannot open ") && problem.message.contains("report.proto: "), "{problem:?}");
    assert_eq!(problem.help.unwrap(), "its folder has raport.proto");
}

#[test]
fn imports_start_in_the_folder_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sky.proto"), "syntax = \"proto3\"; package m; enum Sky { CLEAR = 0; }").unwrap();
    let text = proto3("import \"sky.proto\";\nimport \"google/protobuf/timestamp.proto\";\nmessage M { Sky sky = 9; }");
    std::fs::write(dir.path().join("m.proto"), text).unwrap();
    let message = protobuf::Message::load(&Context { dir: dir.path().into() }, "./m.proto", "m.M").unwrap();
    assert_eq!(message.fingerprint(), "9 sky int32");
}

#[test]
fn the_input_of_a_decoder_has_messages() {
    let config = crate::decode::protobuf::ProtobufConfig {
        schema: "gone.proto".into(),
        message: "test.Scalars".into(),
        on_error: OnError::Fail,
    };
    let build =
        |columns| DecodeConfig::Protobuf(config.clone()).build(&Schema::new(columns), &context()).err().unwrap();
    let problems =
        build(vec![Column::new("id", ColumnType::Int64, false), Column::new("date", ColumnType::String, false)]);
    assert_eq!(problems.len(), 2, "both the schema and the input are wrong: {problems:?}");
    assert_eq!(problems[1].message, "there is no column `value` to decode; the input has id, date");
    let problems = build(vec![Column::new("value", ColumnType::String, false)]);
    assert_eq!(problems[1].message, "the column `value` is string, and decoding needs bytes");
}
