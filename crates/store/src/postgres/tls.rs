//! How the certificate of the database is verified: `sslmode` and `sslrootcert` of the URL, with the meaning they have in libpq.

use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How much of a certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing: the connection may be encrypted, but the server is not authenticated.
    None,
    /// Its issuer: `verify-ca`.
    Ca,
    /// Its issuer and the host name: `verify-full`.
    Full,
}

/// How the certificate is verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TlsVerification {
    mode: Mode,
    /// The file of the trusted root certificates; those of the system if none.
    roots: Option<PathBuf>,
}

impl TlsVerification {
    /// Splits the parameters of the verification off a URL. In the rest, `sslmode` is one that the driver supports.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn split_off(url: &str) -> Result<(String, Self), String> {
        let mut verification = Self { mode: Mode::None, roots: None };
        let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), verification)) };
        let mut rest = Vec::new();
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("sslmode", "verify-ca")) => verification.mode = Mode::Ca,
                Some(("sslmode", "verify-full")) => verification.mode = Mode::Full,
                Some(("sslrootcert", path)) => {
                    let path = percent_decode_str(path).decode_utf8();
                    verification.roots =
                        Some(PathBuf::from(path.map_err(|_| "sslrootcert is not UTF-8")?.as_ref()));
                    continue;
                }
                _ => {
                    rest.push(parameter);
                    continue;
                }
            }
            rest.push("sslmode=require");
        }
        Ok((format!("{address}?{}", rest.join("&")), verification))
    }

    /// The configuration of a TLS client that verifies accordingly.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn client_config(&self) -> Result<ClientConfig, String> {
        let unusable = |error: rustls::Error| format!("TLS cannot be used: {error}");
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let without_name = |issuers| {
            Arc::new(VerifierWithoutName { provider: Arc::clone(&provider), issuers })
                as Arc<dyn ServerCertVerifier>
        };
        let verifier = match self.mode {
            Mode::None => without_name(None),
            Mode::Ca | Mode::Full => {
                let roots = Arc::new(self.roots()?);
                let issuers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| format!("certificates cannot be verified: {error}"))?;
                if self.mode == Mode::Full { issuers } else { without_name(Some(issuers)) }
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

/// Does not verify the host name, and the issuer only if it has issuers.
#[derive(Debug)]
struct VerifierWithoutName {
    provider: Arc<CryptoProvider>,
    issuers: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for VerifierWithoutName {
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
            // The name is verified last.
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
