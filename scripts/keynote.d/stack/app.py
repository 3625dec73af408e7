"""A small shop on a real stack: pages by Python, sessions in PostgreSQL, each server with a session cache of its own.

What a server has to know of a customer to make a page is his session: who he is, and what he may like, from what others
bought. Both are read from the database and kept at hand as long as the server runs.
"""

import hashlib
import html
import json
import os
import threading

import psycopg2.pool

NAME = os.environ["SHOP_NAME"]
CUSTOMERS, PRODUCTS, SHOWN = 1000, 1000, 400
LIKED = """
SELECT other.product, count(*) AS bought FROM orders mine
JOIN orders same ON same.product = mine.product
JOIN orders other ON other.customer = same.customer
WHERE mine.customer = %s GROUP BY other.product ORDER BY bought DESC, other.product LIMIT 40"""

pool = psycopg2.pool.ThreadedConnectionPool(1, 64, os.environ["SHOP_DATABASE"])
lock = threading.Lock()
sessions = {}
figures = {"requests": 0, "hits": 0, "misses": 0, "most_in_flight": 0}
in_flight = 0


def application(environ, start_response):
    """One request."""
    if environ["PATH_INFO"] == "/stats":
        return answer(start_response, json.dumps(figures), [])
    global in_flight
    with lock:
        in_flight += 1
        figures["requests"] += 1
        figures["most_in_flight"] = max(figures["most_in_flight"], in_flight)
    try:
        return page(environ, start_response)
    finally:
        with lock:
            in_flight -= 1


def page(environ, start_response):
    """A page, and the cookie for who has none."""
    cookies = dict(pair.strip().split("=", 1) for pair in environ.get("HTTP_COOKIE", "").split(";") if "=" in pair)
    number, fields = cookies.get("SHOP"), []
    session = sessions.get(number)
    how = "hit" if session else "miss"
    with lock:
        figures["hits" if session else "misses"] += 1
    if not session:
        if not number:
            number = hashlib.sha256(os.urandom(16)).hexdigest()[:16]
            fields.append(("Set-Cookie", f"SHOP={number}; path=/; HttpOnly"))
        session = sessions[number] = read(number)
    return answer(start_response, f"{NAME} {how}\n{render(session, environ['PATH_INFO'])}", fields)


def read(number):
    """A session from the database; a new one when it is not there."""
    connection = pool.getconn()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO sessions VALUES (%s, %s, now()) ON CONFLICT (id) DO UPDATE SET used = now() "
                           "RETURNING customer", (number, int(number, 16) % CUSTOMERS))
            customer = cursor.fetchone()[0]
            cursor.execute(LIKED, (customer,))
            return {"customer": customer, "liked": dict(cursor.fetchall())}
    finally:
        pool.putconn(connection)


def render(session, path):
    """The products, those first that the customer may like."""
    score = session["liked"]
    order = sorted(range(PRODUCTS), key=lambda product: (-score.get(product, 0), (product * 7919 + len(path)) % PRODUCTS))
    lines = (f"<li class={html.escape('liked' if product in score else 'other')}>{html.escape(f'Product <{product}>')}</li>"
             for product in order[:SHOWN])
    return f"<h1>Customer {session['customer']}</h1><ul>{''.join(lines)}</ul>"


def answer(start_response, text, fields):
    """As WSGI wants it."""
    body = text.encode()
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body))), *fields])
    return [body]
