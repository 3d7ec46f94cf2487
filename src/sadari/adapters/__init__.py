"""sadari's models and agents inside other frameworks; each module needs the library that it is named after.

`langchain.ChatSadari` is a chat model of LangChain, `langgraph.agent_graph` an agent as a graph of LangGraph, and
`pydantic_ai.model_for` a model of pydantic-ai. A foreign retriever goes the other way: `sadari.retrieve.adapters`.
"""
