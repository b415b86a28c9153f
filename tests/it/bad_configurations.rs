//! Configurations of nginx that are none: cut, mixed up, endless, or made to be expensive. Each is refused with a
//! place and a reason, in bounded time and memory.

use std::time::Duration;

use callgate::nginx::{Files, read};

use crate::support::{AT, Run, Scene};

/// No configuration may take longer.
const TIME_MAX: Duration = Duration::from_secs(30);
/// No configuration of this file may need more address space, in bytes.
const MEMORY_MAX: u64 = 1 << 30;

/// Asks for a path under bounds of time and memory.
fn ask(scene: &Scene, arguments: &[&str]) -> Run {
    let mut command = assert_cmd::Command::new("prlimit");
    command.arg(format!("--as={MEMORY_MAX}")).arg("--").arg(env!("CARGO_BIN_EXE_callgate"));
    command.args(["admitted", "--port", "80", "--at", AT]).args(arguments);
    if !arguments.contains(&"--path") {
        command.args(["--path", "/"]);
    }
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.current_dir(scene.path()).timeout(TIME_MAX).output().unwrap();
    assert!(output.status.code().is_some(), "{arguments:?} does not end in time");
    let run = Run::of(&output);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run
}

/// The configuration of a scene is refused, by these words.
#[track_caller]
fn check_scene(scene: &Scene, words: &str) {
    let run = ask(scene, &["--nginx", "nginx.conf"]).expect(2);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("\n  help: "), "{}", run.stderr);
    assert!(run.stderr.contains(words), "{}", run.stderr);
    assert!(run.stderr.len() < 1_000, "{} bytes of error", run.stderr.len());
}

/// A text is refused, by these words.
#[track_caller]
fn check(text: impl AsRef<[u8]>, words: &str) {
    let scene = Scene::new();
    scene.write("nginx.conf", text);
    check_scene(&scene, words);
}

const WHOLE: &str = "events { }\nhttp {\n  # a } comment\n  geo $a { default 0; 192.0.2.0/24 1; }\n  map $a $b { ~^(x|y)$ 'a b'; default \"\\\"\"; }\n  \
    server {\n    listen 80;\n    location ~ \\.php$ { access_by_lua_block { if x then return \"}\" end -- }\n }\n allow 192.0.2.1; deny all; }\n  }\n}\n";

#[test]
fn a_cut_configuration_is_refused_at_every_byte() {
    let files = Files::single("nginx.conf", WHOLE);
    assert_eq!(read(&files).unwrap().directives.len(), 2);
    let whole = "events { }".len();
    for length in 1..WHOLE.trim_end().len() {
        // Between two directives of the main level a text is a configuration of its own.
        if (whole..=whole + 1).contains(&length) {
            continue;
        }
        let files = Files::single("nginx.conf", &WHOLE[..length]);
        let error = read(&files).err().unwrap_or_else(|| panic!("{:?} is read", &WHOLE[..length]));
        assert!(error.line > 0 && !error.help.is_empty() && error.message.len() < 200);
    }
}

#[test]
fn a_cut_dump_is_refused_or_lacks_a_file() {
    let dump = format!(
        "# configuration file /n/nginx.conf:\nhttp {{ include a; include b/*; }}\n\n# configuration file /n/a:\n{WHOLE}\n# configuration file /n/b/1:\nserver {{ }}\n\n"
    );
    let last = dump.find("# configuration file /n/b/1").unwrap();
    for length in 1..last - 2 {
        match Files::of_dump(&dump[..length]) {
            None => assert!(length < "# configuration file /n/nginx.conf:".len(), "{length}"),
            Some(Err(error)) => panic!("{error}"),
            // Between two directives of an included file nobody can tell.
            Some(Ok(files)) => match read(&files) {
                Ok(_) => assert!(dump[..length].trim_end().ends_with(['}', ':']), "{:?}", &dump[..length]),
                Err(error) => assert!(!error.help.is_empty()),
            },
        }
    }
}

#[test]
fn noise_is_refused() {
    let mut state = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    check(bytes.take(1 << 20).collect::<Vec<u8>>(), "nginx.conf:");
    check("\u{1b}[31m\0{", "nginx.conf:1: ");
    check([0xff, 0xfe, b'{', 0, b'\n', 0], "nginx.conf:");
}

#[test]
fn an_endless_word_is_refused_within_bounds() {
    let scene = Scene::new();
    let file = std::fs::File::create(scene.path().join("nginx.conf")).unwrap();
    file.set_len(100 << 20).unwrap();
    check_scene(&scene, "nginx.conf:1: the file ends, and `;` or `{` is missing");
    check("a ".to_owned() + &"x".repeat(1 << 20) + ";", "a word of more than 4095 bytes");
    check("a \"".to_owned() + &"x".repeat(1 << 20) + "\";", "is not closed");
    check("#".repeat(1 << 20), "a comment of more than 4095 bytes");
}

#[test]
fn what_is_larger_than_any_configuration_is_refused_unread() {
    let scene = Scene::new();
    let file = std::fs::File::create(scene.path().join("nginx.conf")).unwrap();
    file.set_len((1 << 30) + 1).unwrap();
    check_scene(&scene, "is larger than 268435456 bytes");
}

#[test]
fn what_is_no_file_is_refused() {
    let scene = Scene::new();
    check_scene(&scene, "`nginx.conf` does not exist");
    std::fs::create_dir(scene.path().join("nginx.conf")).unwrap();
    check_scene(&scene, "`nginx.conf` is not a regular file");
    let scene = Scene::new();
    assert_cmd::Command::new("mkfifo").arg(scene.path().join("pipe")).assert().success();
    scene.write("nginx.conf", "include pipe;\n");
    check_scene(&scene, "nginx.conf:1: `pipe` can't be included: `pipe` is not a regular file");
}

#[test]
fn blocks_without_end_are_refused() {
    check("a {".repeat(1 << 20), "more than 100 blocks within each other");
    check("a {".repeat(1 << 20) + &"}".repeat(1 << 20), "more than 100 blocks within each other");
    check("}".repeat(1 << 20), "nginx.conf:1: unexpected `}`");
}

#[test]
fn too_many_directives_are_refused_in_time() {
    check("a;".repeat(5_000_000), "more than 4000000 directives");
    let many = "server { }\n".repeat(300_000);
    let scene = Scene::new();
    scene.write("nginx.conf", format!("events {{ }} http {{ {many} }}"));
    let run = ask(&scene, &["--nginx", "nginx.conf"]);
    assert!([0, 2, 5].contains(&run.status), "{}", run.stderr);
}

#[test]
fn files_that_include_each_other_are_named() {
    let scene = Scene::new();
    scene.write("nginx.conf", "http {\n  include a;\n}\n");
    scene.write("a", "include b;\n");
    scene.write("b", "\ninclude a;\n");
    check_scene(&scene, "b:2: files include each other: a → b → a");
    scene.write("b", "\ninclude [a-b];\n");
    check_scene(&scene, "b:2: files include each other: ");
}

#[test]
fn files_that_multiply_are_refused_in_time() {
    let scene = Scene::new();
    scene.write("nginx.conf", "include a0;\n");
    for number in 0..40 {
        scene.write(&format!("a{number}"), format!("include a{};\n", number + 1).repeat(4));
    }
    scene.write("a40", "");
    check_scene(&scene, "or 200000 inclusions");
    for number in 0..200 {
        scene.write(&format!("a{number}"), format!("include a{};\n", number + 1));
    }
    scene.write("a200", "");
    check_scene(&scene, "more than 50 files within each other");
}

#[test]
fn heads_without_number_are_looked_at_in_time() {
    let heads = (0..100_000)
        .map(|number| format!("# configuration file /x{number}:\ninclude y{number}*;\n"))
        .collect::<Vec<_>>()
        .concat();
    let scene = Scene::new();
    scene.write("nginx.conf", format!("# configuration file /nginx.conf:\n{heads}"));
    let run = ask(&scene, &["--nginx", "nginx.conf"]);
    assert!([0, 2, 5].contains(&run.status), "{}", run.stderr);
}

#[test]
fn patterns_that_explode_are_answered_in_time() {
    let scene = Scene::new();
    let pattern = "(a*)*".repeat(20) + "$";
    let many = format!("location ~ ^/{pattern} {{ deny all; }}\n").repeat(200);
    scene.write(
        "nginx.conf",
        format!("events {{ }} http {{ server {{ {many} location ~ ((((x{{900}}){{900}}){{900}}){{900}}) {{ }} }} }}"),
    );
    let path = "/".to_owned() + &"a".repeat(4_000) + "b";
    let run = ask(&scene, &["--nginx", "nginx.conf", "--path", &path]);
    assert!([0, 2, 5].contains(&run.status), "{}", run.stderr);
}
