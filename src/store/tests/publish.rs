//! What may be published, and from where.

use super::*;

#[cfg(unix)]
#[test]
fn links_are_followed_inside_and_refused_outside() {
    use std::os::unix::fs::symlink;
    let place = place();
    let scratch = || place.store.scratch("test").expect("a scratch folder");

    let inside = scratch();
    write(&inside.path().join("lib/x"), "x");
    symlink("lib", inside.path().join("lib64")).expect("linked");
    symlink("lib/x", inside.path().join("y")).expect("linked");
    let published = place.store.publish(inside.path()).expect("published");
    let plain = publish(
        &place.store,
        &[("lib/x", "x"), ("lib64/x", "x"), ("y", "x")],
    );
    assert_eq!(published, plain);

    write(&place.path.join("outside"), "secret");
    for (target, part) in [
        ("../../../outside", "outside of the folder"),
        ("nothing", "does not exist"),
        (".", "a cycle"),
    ] {
        let folder = scratch();
        symlink(target, folder.path().join("link")).expect("linked");
        let error = place.store.publish(folder.path()).expect_err("refused");
        assert!(error.message().contains(part), "{error}");
        assert!(error.message().contains("link`"), "{error}");
    }

    let pipe = scratch();
    let _listener = std::os::unix::net::UnixListener::bind(pipe.path().join("s")).expect("bound");
    let error = place.store.publish(pipe.path()).expect_err("refused");
    assert!(error.message().contains("socket"), "{error}");
}

#[cfg(unix)]
#[test]
fn an_input_that_is_moved_to_an_output_is_kept_and_one_changed_in_place_harms_nobody() {
    let place = place();
    let published = publish(&place.store, &[("a", "content")]);
    let object = place.store.object_path(&Digest::of(b"content"));
    let restored = place.store.scratch("test").expect("a scratch folder");
    let folder = restored.path().join("in");
    place
        .store
        .materialise(&published.digest, &folder)
        .expect("restored");
    assert_eq!(place.store.publish(&folder).expect("published"), published);
    assert_eq!(fs::read(&object).expect("still there"), b"content");

    fs::remove_dir_all(&folder).expect("removed");
    place
        .store
        .materialise(&published.digest, &folder)
        .expect("restored");
    flip(&folder.join("a"));
    let changed = place.store.publish(&folder).expect("published");
    assert_ne!(changed.digest, published.digest);
    assert!(place.store.is_whole(&changed.digest));
    let other = Store::open(place.store.root()).expect("opened");
    let intact = fs::read(&object).expect("there") == b"content";
    assert_eq!(
        other.is_whole(&published.digest),
        intact,
        "the truth is told"
    );
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs a second disk")]
fn files_from_another_disk_are_copied_in() {
    let other = Path::new("/dev/shm");
    let place = place();
    let folder = tempfile::tempdir_in(other).expect("a folder on it");
    let out = folder.path().join("out");
    write(&out.join("a"), "content");
    let published = place.store.publish(&out).expect("published");
    assert_eq!(published, publish(&place.store, &[("a", "content")]));
}

#[test]
fn time_does_not_run_into_an_artifact() {
    let place = place();
    let scratch = place.store.scratch("test").expect("a scratch folder");
    let file = scratch.path().join("a");
    write(&file, "content");
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    fs::File::options()
        .write(true)
        .open(&file)
        .and_then(|file| file.set_times(fs::FileTimes::new().set_modified(future)))
        .expect("set");
    let published = place.store.publish(scratch.path()).expect("published");
    assert_eq!(published, publish(&place.store, &[("a", "content")]));
}
