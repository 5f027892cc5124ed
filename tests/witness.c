/* Loaded in front of a process (LD_PRELOAD): notes in the file $WITNESS each host that it looks up and each
   connection that it tries over a network, whatever library does it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *what, const char *host) {
    int file = open(getenv("WITNESS"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dprintf(file, "%s %s\n", what, host);
    close(file);
}

static void note_address(const char *what, const struct sockaddr *address) {
    if (address && (address->sa_family == AF_INET || address->sa_family == AF_INET6))
        note(what, "an address");
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    note("looked up", host ? host : "this machine");
    return next(host, service, hints, found);
}

int connect(int socket, const struct sockaddr *address, socklen_t size) {
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    note_address("connected to", address);
    return next(socket, address, size);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *address,
               socklen_t length) {
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        dlsym(RTLD_NEXT, "sendto");
    note_address("sent to", address);
    return next(socket, data, size, flags, address, length);
}
