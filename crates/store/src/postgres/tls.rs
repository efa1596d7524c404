//! Whom one trusts to be the database: what `sslmode` and `sslrootcert` of a URL say, as libpq understands them.

use std::{path::PathBuf, sync::Arc};

use percent_encoding::percent_decode_str;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

/// How much of a certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Nothing: there is encryption, if any, and no authentication.
    Nothing,
    /// That somebody known vouches for the server: `verify-ca`.
    Issuer,
    /// And that it is the one that was meant: `verify-full`.
    All,
}

/// Whom one trusts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trust {
    check: Check,
    /// Where those are who may vouch; those of the system if missing.
    roots: Option<PathBuf>,
}

impl Trust {
    /// What a URL says of it, and the rest of the URL, in which `sslmode` is one of those that the driver knows.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn split_off(url: &str) -> Result<(String, Self), String> {
        let mut trust = Self { check: Check::Nothing, roots: None };
        let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), trust)) };
        let mut rest = Vec::new();
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("sslmode", "verify-ca")) => trust.check = Check::Issuer,
                Some(("sslmode", "verify-full")) => trust.check = Check::All,
                Some(("sslrootcert", path)) => {
                    let path = percent_decode_str(path).decode_utf8();
                    trust.roots = Some(PathBuf::from(path.map_err(|_| "sslrootcert is no text")?.as_ref()));
                    continue;
                }
                _ => {
                    rest.push(parameter);
                    continue;
                }
            }
            rest.push("sslmode=require");
        }
        Ok((format!("{address}?{}", rest.join("&")), trust))
    }

    /// What connects accordingly.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn client(&self) -> Result<ClientConfig, String> {
        let unusable = |error: rustls::Error| format!("TLS cannot be used: {error}");
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let lenient = |issuers| {
            Arc::new(Lenient { provider: Arc::clone(&provider), issuers }) as Arc<dyn ServerCertVerifier>
        };
        let verifier = match self.check {
            Check::Nothing => lenient(None),
            Check::Issuer | Check::All => {
                let roots = Arc::new(self.roots()?);
                let issuers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| format!("certificates cannot be verified: {error}"))?;
                if self.check == Check::All { issuers } else { lenient(Some(issuers)) }
            }
        };
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.roots else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let unreadable = |why: String| format!("sslrootcert={}: {why}", path.display());
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        Ok(roots)
    }
}

/// Checks less than everything: nothing, or all but the name.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    /// Who says whether somebody known vouches for the server.
    issuers: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(issuers) = &self.issuers else { return Ok(ServerCertVerified::assertion()) };
        match issuers.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whom_to_trust() {
        let ca = |check| Trust { check, roots: Some(PathBuf::from("/etc/ca 1.pem")) };
        let system = |check| Trust { check, roots: None };
        for (url, rest, trust) in [
            ("postgres://a:b@c/d", "postgres://a:b@c/d", system(Check::Nothing)),
            ("postgres://c/d?sslmode=disable", "postgres://c/d?sslmode=disable", system(Check::Nothing)),
            ("postgres://c/d?sslmode=require", "postgres://c/d?sslmode=require", system(Check::Nothing)),
            ("postgres://c/d?sslmode=verify-full", "postgres://c/d?sslmode=require", system(Check::All)),
            (
                "postgres://c/d?connect_timeout=3&sslmode=verify-ca&sslrootcert=%2Fetc/ca%201.pem",
                "postgres://c/d?connect_timeout=3&sslmode=require",
                ca(Check::Issuer),
            ),
        ] {
            assert_eq!(Trust::split_off(url), Ok((rest.to_owned(), trust)), "{url}");
        }
    }
}
