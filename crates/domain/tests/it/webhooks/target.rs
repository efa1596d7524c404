//! The URLs and addresses that webhooks may go to.

use agentcafe_domain::webhooks::target::{
    AddressClass, TargetError, WebhookRules, check, check_is_whole, shown,
};

/// Link-local and metadata addresses are forbidden, however they are written.
#[test]
fn webhook_address_class_is_that_of_the_embedded_address() {
    use AddressClass::{Forbidden, Private, Public};
    let cases = [
        ("8.8.8.8", Public),
        ("93.184.216.34", Public),
        ("0.0.0.0", Private),
        ("10.1.2.3", Private),
        ("100.63.255.255", Public),
        ("100.64.0.1", Private),
        ("100.100.100.200", Forbidden),
        ("127.0.0.1", Private),
        ("127.255.255.254", Private),
        ("168.63.129.16", Forbidden),
        ("169.253.255.255", Public),
        ("169.254.0.1", Forbidden),
        ("169.254.169.254", Forbidden),
        ("172.15.255.255", Public),
        ("172.16.0.1", Private),
        ("172.31.255.255", Private),
        ("172.32.0.0", Public),
        ("192.0.0.192", Forbidden),
        ("192.168.1.1", Private),
        ("198.19.0.1", Private),
        ("224.0.0.1", Private),
        ("255.255.255.255", Private),
        ("::", Private),
        ("::1", Private),
        ("::127.0.0.1", Private),
        ("::169.254.169.254", Forbidden),
        ("::ffff:127.0.0.1", Private),
        ("::ffff:8.8.8.8", Public),
        ("::ffff:169.254.169.254", Forbidden),
        ("::ffff:0:10.0.0.1", Private),
        ("64:ff9b::8.8.8.8", Public),
        ("64:ff9b::127.0.0.1", Private),
        ("64:ff9b::169.254.169.254", Forbidden),
        ("64:ff9b:1::8.8.8.8", Private),
        ("64:ff9b:1::169.254.169.254", Forbidden),
        ("2002:7f00:1::", Private),
        ("2002:a9fe:a9fe::", Forbidden),
        ("2001::1", Private),
        ("2001:db8::1", Private),
        ("2606:4700::1111", Public),
        ("fc00::1", Private),
        ("fd12:3456::1", Private),
        ("fd00:ec2::254", Forbidden),
        ("fe80::1", Forbidden),
        ("febf::1", Forbidden),
        ("fec0::1", Private),
        ("ff02::1", Private),
        ("100::1", Private),
    ];
    for (text, want) in cases {
        assert_eq!(AddressClass::of(text.parse().unwrap()), want, "{text}");
    }
}

/// A target is an absolute http or https URL without a user, and its address is allowed. The first result is that with
/// private targets, the second that without.
#[test]
fn webhook_target_is_checked_before_its_name_is_resolved() {
    let (never, private) = (Err(TargetError::Address), Err(TargetError::Address));
    let cases: [(&str, Result<(), TargetError>, Result<(), TargetError>); 27] = [
        ("https://example.com/hook?x=1", Ok(()), Ok(())),
        ("HTTP://Example.com", Ok(()), Ok(())),
        ("http://example.com:8080", Ok(()), Ok(())),
        ("http://localhost:1", Ok(()), private),
        ("http://LOCALHOST./x", Ok(()), private),
        ("http://api.localhost", Ok(()), private),
        ("http://127.0.0.1", Ok(()), private),
        ("http://2130706433", Ok(()), private),
        ("http://0x7f.1", Ok(()), private),
        ("http://0177.0.0.1", Ok(()), private),
        ("http://[::1]:80", Ok(()), private),
        ("http://[::ffff:7f00:1]", Ok(()), private),
        ("http://169.254.169.254/latest/meta-data", never, never),
        ("http://0xa9fea9fe", never, never),
        ("http://[::ffff:169.254.169.254]", never, never),
        ("http://[fe80::1]", never, never),
        ("http://metadata.google.internal/", never, never),
        ("http://Metadata.Google.Internal./", never, never),
        ("http://100.100.100.200", never, never),
        ("ftp://example.com", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("file:///etc/passwd", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("/hook", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("example.com", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("http://", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("http://[::1", Err(TargetError::NotHttp), Err(TargetError::NotHttp)),
        ("http://user@example.com", Err(TargetError::Credentials), Err(TargetError::Credentials)),
        ("http://:pass@example.com", Err(TargetError::Credentials), Err(TargetError::Credentials)),
    ];
    for (text, open, closed) in cases {
        for (allow_private_targets, want) in [(true, open), (false, closed)] {
            let got = check(text, WebhookRules { allow_private_targets }).map(|_| ());
            assert_eq!(got, want, "{text} {allow_private_targets}");
        }
    }
}

/// The values of its query are hidden, and the credentials of a target that was stored before they were refused; the rest is
/// shown as it is.
#[test]
fn webhook_target_is_shown_without_credentials() {
    for (stored, want) in [
        ("https://nova:secret@example.com/hook?key=1", "https://example.com/hook?key=***"),
        ("http://nova@example.com", "http://example.com/"),
        ("HTTP://Example.com", "HTTP://Example.com"),
        ("https://example.com/@nova", "https://example.com/@nova"),
        ("http://a/?b=1&c=&d&&e=f=g?h", "http://a/?b=***&c=&***&&e=***"),
        ("http://a/?#key=1", "http://a/?"),
        ("http://a/#b?c=d", "http://a/"),
        ("no url?key=1", "no url?key=***"),
    ] {
        assert_eq!(shown(stored), want);
        assert_eq!(shown(want), want, "shown twice");
        assert_eq!(check_is_whole(want).is_err(), want.contains("***"));
        assert!(check_is_whole(stored).is_ok());
    }
}
