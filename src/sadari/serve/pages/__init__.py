"""The pages for people: rendered here, with small scripts and styles of their own, nothing from elsewhere."""

from sadari.serve.pages import admin, approvals, chat, data, look, monitor, runs, signin

ROUTERS = (look.router, signin.router, chat.router, approvals.router, runs.router, monitor.router, data.router, admin.router)
