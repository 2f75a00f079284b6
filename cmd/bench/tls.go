// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsFlags are the files for brokers with TLS.
type tlsFlags struct{ CA, Cert, Key string }

// config reads the files; nil without any.
func (f tlsFlags) config() (*tls.Config, error) {
	switch {
	case f == tlsFlags{}:
		return nil, nil
	case f.CA == "":
		return nil, errors.New("-tls-cert and -tls-key need -tls-ca: a file with the authorities of the brokers' certificates, or the word system")
	case (f.Cert == "") != (f.Key == ""):
		return nil, errors.New("-tls-cert and -tls-key belong together")
	}
	config := new(tls.Config)
	if f.CA != "system" {
		text, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("-tls-ca: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-tls-ca: %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("-tls-cert and -tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
