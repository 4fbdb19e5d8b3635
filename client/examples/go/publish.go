// Publishes every line of standard input, in batches.
//
// Needs protoc, protoc-gen-go, protoc-gen-go-grpc and Go, as recent as google.golang.org/grpc wants it. In an empty directory
// with this file as main.go:
//
//	mkdir api && protoc -I /usr/share/peermesh/protos --go_out=api --go_opt=module=peermesh.dev/api \
//	  --go-grpc_out=api --go-grpc_opt=module=peermesh.dev/api \
//	  /usr/share/peermesh/protos/peermesh/v1/message.proto /usr/share/peermesh/protos/peermesh/v1/messaging.proto
//	(cd api && go mod init peermesh.dev/api)
//	go mod init example && go mod edit -replace peermesh.dev/api=./api && go mod tidy
//	echo hi | go run . hello.world
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	peermesh "peermesh.dev/api/peermesh/v1"
)

const batch = 256 // a batch is at most 1,024 messages

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// dial opens a channel: over the socket, or over mutual TLS with a directory made by "peermesh client add".
func dial() (*grpc.ClientConn, error) {
	address := env("PEERMESH_ADDRESS", "")
	if address == "" {
		socket := env("PEERMESH_SOCKET", "/run/peermesh/app.sock")
		return grpc.Dial("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	identity := env("PEERMESH_IDENTITY", "")
	pair, err := tls.LoadX509KeyPair(filepath.Join(identity, "cert.pem"), filepath.Join(identity, "key.pem"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(identity, "ca.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}
	return grpc.Dial(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: publish SUBJECT < LINES")
	}
	channel, err := dial()
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	mesh := peermesh.NewMessagingServiceClient(channel)
	count := 0
	publish := func(messages []*peermesh.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := mesh.Publish(ctx, &peermesh.PublishRequest{Messages: messages}); err != nil {
			log.Fatal(err)
		}
		count += len(messages)
	}
	var messages []*peermesh.Message
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		payload := append([]byte(nil), lines.Bytes()...)
		messages = append(messages, &peermesh.Message{Subject: os.Args[1], Payload: payload})
		if len(messages) == batch {
			publish(messages)
			messages = nil
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if len(messages) > 0 {
		publish(messages)
	}
	fmt.Fprintf(os.Stderr, "published %d messages\n", count)
}
