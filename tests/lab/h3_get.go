// A client of HTTP/3: fetches a URL from the address that is given for its host, and prints the body.
//
//	h3_get https://NAME/PATH ADDRESS [SERVER-NAME]
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/http3"
)

func main() {
	page, address := os.Args[1], os.Args[2]
	parsed, err := url.Parse(page)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	settings := &tls.Config{InsecureSkipVerify: true, ServerName: parsed.Hostname()}
	if len(os.Args) > 3 {
		settings.ServerName = os.Args[3]
	}
	transport := &http3.RoundTripper{
		TLSClientConfig: settings,
		QuicConfig:      &quic.Config{HandshakeIdleTimeout: 3 * time.Second},
		Dial: func(ctx context.Context, _ string, tls *tls.Config, config *quic.Config) (quic.EarlyConnection, error) {
			return quic.DialAddrEarlyContext(ctx, net.JoinHostPort(address, "443"), tls, config)
		},
	}
	defer transport.Close()
	answer, err := (&http.Client{Transport: transport}).Get(page)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s %s", answer.Proto, body)
}
