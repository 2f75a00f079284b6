// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// adminTLS are the files with which admin reaches brokers with TLS.
type adminTLS struct{ ca, cert, key string }

// config reads the files; nil without any.
func (f adminTLS) config() (*tls.Config, error) {
	switch {
	case f == adminTLS{}:
		return nil, nil
	case f.ca == "":
		return nil, errors.New("-tls-cert and -tls-key need -tls-ca: a file with the authorities of the brokers' certificates, or the word system")
	case (f.cert == "") != (f.key == ""):
		return nil, errors.New("-tls-cert and -tls-key belong together")
	}
	config := new(tls.Config)
	if f.ca != "system" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("-tls-ca: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-tls-ca: %s holds no certificate in PEM", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("-tls-cert and -tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
