"""What HSDO's client does: it looks once whether its pool is there, then sends all it knows of every slot, a connection for each
command. Usage: hsdo.py SOCKET POOL NAME PORT ADDRESS,WEIGHT ...: one for each slot, `none,0` for one that is spare."""
import socket
import sys

PATH, POOL, NAME, PORT = sys.argv[1:5]
# So many values has the line of a server that it takes for one.
FEWEST = 80


def ask(command):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(20)
        client.connect(PATH)
        client.send(f"{command}\n".encode())
        answer = b""
        while piece := client.recv(16):
            answer += piece
    return answer.decode()


lines = [line.split(",") for line in ask("show stat").split("\n")]
if not any(len(line) > FEWEST and line[0] == POOL and line[1].startswith(NAME) for line in lines):
    sys.exit(f"{POOL}/{NAME} is not found")
for number, slot in enumerate(sys.argv[5:], 1):
    server = f"{POOL}/{NAME}{number}"
    address, weight = slot.split(",")
    if address == "none":
        commands = ["state maint"]
    else:
        commands = [f"addr {address} port {PORT}", f"weight {weight}", "state ready"]
    for command in commands:
        # It does not look at answers; so it is told of one here that is no success.
        answer = ask(f"set server {server} {command}")
        if answer.strip() and "changed from" not in answer and "no need to change" not in answer:
            sys.exit(f"set server {server} {command}: {answer}")
