/* A Modbus TCP master on libmodbus that reads 125 registers as fast as it can, and prints requests per second. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	uint16_t values[125];
	modbus_t *master = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 502);
	if (master == NULL || modbus_set_slave(master, 17) != 0 || modbus_connect(master) != 0) {
		fprintf(stderr, "%s\n", modbus_strerror(errno));
		return 1;
	}
	double begin = now();
	long requests = 0;
	while (now() - begin < 1) {
		if (modbus_read_registers(master, 0, 125, values) != 125) {
			fprintf(stderr, "%s\n", modbus_strerror(errno));
			return 1;
		}
		requests++;
	}
	printf("%.1f\n", requests / (now() - begin));
	modbus_close(master);
	modbus_free(master);
	return 0;
}
