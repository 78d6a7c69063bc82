//! TLS to PostgreSQL, by the parameters of libpq.

use std::{path::Path, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

use crate::{Error, Result};

/// `sslmode`: whether the connection is encrypted, and what is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server offers it; nothing is verified.
    #[default]
    Prefer,
    /// Encrypted; nothing is verified, unless there is a root certificate.
    Require,
    /// Encrypted by a server whose certificate an accepted authority has signed.
    VerifyCa,
    /// Like [`Mode::VerifyCa`], and the certificate names the host.
    VerifyFull,
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(unfit(
                "sslmode",
                "it is disable, prefer, require, verify-ca or verify-full",
            )),
        }
    }
}

/// The parameters of a URL that are about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `sslmode`.
    pub mode: Option<Mode>,
    /// `sslrootcert`: a file of certificates (PEM), or `system` for those that the system accepts.
    pub root: Option<String>,
    /// `sslcert`: a file with the client's certificate (PEM), and those that lead to its root.
    pub certificate: Option<String>,
    /// `sslkey`: the file of its key (PEM).
    pub key: Option<String>,
}

impl Parameters {
    /// The mode that they amount to, by the rules of libpq.
    pub fn mode(&self) -> Result<Mode> {
        match (self.mode, self.root.as_deref()) {
            (None | Some(Mode::VerifyFull), Some("system")) => Ok(Mode::VerifyFull),
            // Anybody can have a certificate for a name of their own.
            (_, Some("system")) => Err(unfit("sslrootcert", "system needs sslmode=verify-full")),
            (Some(Mode::VerifyCa), None) => Err(unfit("sslmode", "verify-ca needs sslrootcert")),
            (None | Some(Mode::Disable | Mode::Prefer), Some(_)) => Err(unfit(
                "sslrootcert",
                "it needs sslmode=require, verify-ca or verify-full",
            )),
            (mode, _) => Ok(mode.unwrap_or_default()),
        }
    }

    /// The configuration of the library. Reads the files.
    pub fn client_config(&self) -> Result<ClientConfig> {
        let mode = self.mode()?;
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            authority: self.authority(mode, &provider)?,
            names_host: mode == Mode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit("sslmode", error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("sslcert", certificate)?;
                let read = PrivateKeyDer::from_pem_file(Path::new(key));
                let key = read.map_err(|error| unfit("sslkey", error))?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| unfit("sslkey", error))
            }
            (None, None) => Ok(builder.with_no_client_auth()),
            _ => Err(unfit("sslcert", "it needs sslkey, and the other way round")),
        }
    }

    /// What verifies a certificate, if anything does.
    fn authority(
        &self,
        mode: Mode,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<WebPkiServerVerifier>>> {
        let verified = match mode {
            Mode::Disable | Mode::Prefer => false,
            // As libpq does, so that a URL means the same everywhere.
            Mode::Require => self.root.is_some(),
            Mode::VerifyCa | Mode::VerifyFull => true,
        };
        if !verified {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        match self.root.as_deref() {
            None | Some("system") => {
                let found = rustls_native_certs::load_native_certs();
                if found.certs.is_empty() {
                    let why = format!("the system has no certificates: {:?}", found.errors);
                    return Err(unfit("sslrootcert", why));
                }
                roots.add_parsable_certificates(found.certs);
            }
            Some(file) => {
                roots.add_parsable_certificates(certificates("sslrootcert", file)?);
            }
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = verifier.build();
        verifier
            .map(Some)
            .map_err(|error| unfit("sslrootcert", error))
    }
}

fn certificates(parameter: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(Path::new(file));
    let all: std::result::Result<Vec<_>, _> = read.and_then(Iterator::collect);
    match all {
        Ok(all) if all.is_empty() => Err(unfit(parameter, "the file has no certificate")),
        Ok(all) => Ok(all),
        Err(error) => Err(unfit(parameter, error)),
    }
}

fn unfit(parameter: &str, why: impl std::fmt::Display) -> Error {
    Error::Unfit(format!("{parameter}: {why}"))
}

/// Verifies what the mode asks for. The server always has to prove that it has the key of its certificate.
#[derive(Debug)]
struct Verifier {
    authority: Option<Arc<WebPkiServerVerifier>>,
    names_host: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        // It looks at the name last, when all else is right.
        match authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names_host => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
