/*
 * A Modbus slave of libmodbus with unit 17, with the map of slave.py.
 *
 * slave tcp PORT | slave rtu DEVICE BAUD
 *
 * Input register 0 counts up ten times a second, input register 1 stays 765, discrete input 0 stays on, and holding
 * registers and coils keep what is written to them. On TCP it serves several masters at a time.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define UNIT 17
#define SIZE 100

static modbus_mapping_t *map;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
	exit(1);
}

static void count(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	map->tab_input_registers[0] = 500 + (t.tv_sec * 10 + t.tv_nsec / 100000000) % 400;
}

/* Takes one request and answers it; 0 if the link is over. */
static int serve(modbus_t *slave)
{
	uint8_t request[MODBUS_MAX_ADU_LENGTH];
	int n = modbus_receive(slave, request);
	if (n < 0)
		return errno != ECONNRESET && errno != EBADF && errno != EIO && errno != EPIPE;
	if (n > 0) { /* 0: a request to another unit */
		count();
		modbus_reply(slave, request, n, map);
	}
	return 1;
}

static void serve_line(const char *device, int baud)
{
	/* A pseudo-terminal has no parity, and glibc takes exception to that. */
	modbus_t *slave = modbus_new_rtu(device, baud, 'N', 8, 1);
	if (slave == NULL || modbus_set_slave(slave, UNIT) != 0 || modbus_connect(slave) != 0)
		fail(device);
	modbus_flush(slave); /* a line does not keep what nobody heard */
	puts("slave ready");
	while (serve(slave))
		;
	fail("line");
}

static void serve_sockets(int port)
{
	modbus_t *slave = modbus_new_tcp("127.0.0.1", port);
	int server = slave == NULL ? -1 : modbus_tcp_listen(slave, 8);
	int highest = server;
	fd_set open_ones, ready;
	if (server < 0)
		fail("listen");
	puts("slave ready");
	FD_ZERO(&open_ones);
	FD_SET(server, &open_ones);
	for (;;) {
		ready = open_ones;
		if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
			fail("select");
		for (int fd = 0; fd <= highest; fd++) {
			if (!FD_ISSET(fd, &ready))
				continue;
			if (fd == server) {
				int s = server, client = modbus_tcp_accept(slave, &s);
				if (client < 0)
					continue;
				FD_SET(client, &open_ones);
				if (client > highest)
					highest = client;
				continue;
			}
			modbus_set_socket(slave, fd);
			if (!serve(slave)) {
				close(fd);
				FD_CLR(fd, &open_ones);
			}
		}
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	map = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
	if (map == NULL)
		fail("map");
	map->tab_input_bits[0] = 1;
	map->tab_input_registers[1] = 765;
	if (argc == 3 && strcmp(argv[1], "tcp") == 0)
		serve_sockets(atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "rtu") == 0)
		serve_line(argv[2], atoi(argv[3]));
	fprintf(stderr, "slave tcp PORT | slave rtu DEVICE BAUD\n");
	return 2;
}
