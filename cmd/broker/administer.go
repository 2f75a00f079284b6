// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"os"
	"strings"

	"chronik/cmd/broker/admin"
)

// reach is how a command finds a running cluster and logs in there.
type reach struct {
	bootstrap, config       string
	passwordFile, tokenFile string
	login                   admin.Login
	files                   adminTLS
}

// adminFlags are those that stand before a command of admin.
func adminFlags() (*flag.FlagSet, *reach) {
	r := new(reach)
	fs := flag.NewFlagSet("admin", flag.ContinueOnError)
	r.flags(fs)
	return fs, r
}

func (r *reach) flags(fs *flag.FlagSet) {
	fs.SetOutput(io.Discard)
	fs.StringVar(&r.bootstrap, "bootstrap", "", "")
	fs.StringVar(&r.config, "config", "", "")
	fs.StringVar(&r.login.User, "user", "", "")
	fs.StringVar(&r.login.Mechanism, "mechanism", "", "")
	fs.StringVar(&r.passwordFile, "password-file", "", "")
	fs.StringVar(&r.tokenFile, "token-file", "", "")
	fs.StringVar(&r.files.ca, "tls-ca", "", "")
	fs.StringVar(&r.files.cert, "tls-cert", "", "")
	fs.StringVar(&r.files.key, "tls-key", "", "")
}

// resolve reads the files that the flags name.
func (r *reach) resolve() (addrs []string, secure *tls.Config, err error) {
	if secure, err = r.files.config(); err != nil {
		return nil, nil, wrongUse{err}
	}
	addrs = strings.Split(r.bootstrap, ",")
	if r.bootstrap == "" {
		if addrs, err = kafkaAddrs(r.config); err != nil {
			return nil, nil, wrongUse{err}
		}
	}
	r.login.Password = os.Getenv("CHRONIK_PASSWORD")
	if r.passwordFile != "" {
		if r.login.Password, err = admin.ReadPassword(r.passwordFile, os.Stdin); err != nil {
			return nil, nil, wrongUse{err}
		}
	}
	if r.tokenFile != "" {
		if r.login.Token, err = admin.ReadPassword(r.tokenFile, os.Stdin); err != nil {
			return nil, nil, wrongUse{err}
		}
	}
	return addrs, secure, nil
}

// administer carries out an admin command on a running cluster.
func administer(ctx context.Context, args []string, stdout io.Writer) error {
	fs, r := adminFlags()
	if err := fs.Parse(args); err != nil {
		return wrongUse{explainFlag(fs, err)}
	}
	addrs, secure, err := r.resolve()
	if err != nil {
		return err
	}
	err = admin.Run(ctx, addrs, secure, r.login, fs.Args(), os.Stdin, stdout)
	return asWrongUse(err)
}

// asWrongUse marks what package admin says of wrong words.
func asWrongUse(err error) error {
	if usage, ok := errors.AsType[admin.UsageError](err); ok {
		return wrongUse{usage}
	}
	return err
}

// kafkaAddrs lists the addresses for clients of the brokers in a configuration file; the default one
// without a file.
func kafkaAddrs(file string) (addrs []string, err error) {
	var args []string
	if file != "" {
		args = []string{"-config", file}
	}
	s, err := loadSettings(args, os.Environ(), io.Discard)
	if err != nil {
		return nil, err
	}
	if _, err := s.hostConfig(); err != nil {
		return nil, err
	}
	for _, m := range s.Members {
		addrs = append(addrs, m.Kafka)
	}
	return addrs, nil
}
