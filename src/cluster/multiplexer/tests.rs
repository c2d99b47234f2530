use super::message::{Close, Frames, message, rewritten};

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn tags(messages: &[u8]) -> String {
    Frames::new(messages).map(|frame| char::from(frame.tag)).collect()
}

#[test]
fn statements_of_two_clients_never_share_a_name() {
    let one = rewritten(1, &parse("s", "select 1"));
    let two = rewritten(2, &parse("s", "select 1"));
    assert_eq!(one.prepares, [b"client_1_s".to_vec()]);
    assert_eq!(two.prepares, [b"client_2_s".to_vec()]);
    assert_ne!(one.messages, two.messages);
}

#[test]
fn the_unnamed_statement_is_replaced_and_its_close_is_ours() {
    let close = message(b'C', b"Sother\0");
    let batch = rewritten(7, &[close, parse("", "select 1"), message(b'S', b"")].concat());
    assert_eq!(tags(&batch.messages), "CCPS");
    assert_eq!(batch.closes, [Close::Theirs, Close::Ours]);
}

#[test]
fn listening_is_read_from_simple_and_prepared_queries() {
    let query = super::query("LISTEN \"Frames_Sync\"; listen Other");
    assert_eq!(
        rewritten(1, &query).listens,
        [b"Frames_Sync".to_vec(), b"other".to_vec()]
    );
    assert_eq!(rewritten(1, &parse("", "listen a")).listens, [b"a".to_vec()]);
    assert!(rewritten(1, &super::query("unlisten *")).unlistens);
}

#[test]
fn copy_becomes_an_error_of_the_backend() {
    let batch = rewritten(1, &super::query("  copy t from stdin"));
    assert!(String::from_utf8_lossy(&batch.messages).contains("0A000"));
    assert!(
        rewritten(1, &super::query("select copy from t"))
            .messages
            .starts_with(b"Q")
    );
}

#[test]
fn a_message_cut_short_is_left_out() {
    let mut bytes = message(b'Z', b"I");
    bytes.extend_from_slice(&[b'D', 0, 0, 0, 9, 1]);
    assert_eq!(tags(&bytes), "Z");
    assert_eq!(tags(&[b'Z', 0, 0, 0, 0]), "");
}
