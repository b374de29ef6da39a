"""A Modbus slave of pymodbus (3.0, as Debian 12 ships it) with unit 17.

Usage: slave.py tcp HOST PORT | slave.py rtu DEVICE BAUD

Input register 0 counts up ten times a second, input register 1 stays 765, discrete input 0 stays on, and
holding registers and coils keep what is written to them.
"""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer
from pymodbus.transaction import ModbusRtuFramer

INPUT_REGISTERS = 4  # function code that selects the table in setValues


async def count(slave):
    value = 500
    while True:
        slave.setValues(INPUT_REGISTERS, 0, [value])
        value = 500 + (value - 499) % 400
        await asyncio.sleep(0.1)


async def main():
    block = lambda values: ModbusSequentialDataBlock(0, values)
    slave = ModbusSlaveContext(
        co=block([0] * 100), di=block([1] + [0] * 99), hr=block([0] * 100), ir=block([500, 765] + [0] * 98), zero_mode=True)
    context = ModbusServerContext(slaves={17: slave}, single=False)
    counting = asyncio.ensure_future(count(slave))
    if sys.argv[1] == "tcp":
        await StartAsyncTcpServer(context=context, address=(sys.argv[2], int(sys.argv[3])), allow_reuse_address=True)
    else:
        await StartAsyncSerialServer(
            context=context, framer=ModbusRtuFramer, port=sys.argv[2], baudrate=int(sys.argv[3]),
            bytesize=8, parity="N", stopbits=1, timeout=1)
    counting.cancel()


asyncio.run(main())
