package desk

import dev.langchain4j.agent.tool.P
import dev.langchain4j.agent.tool.Tool
import dev.langchain4j.memory.chat.ChatMemoryProvider
import dev.langchain4j.memory.chat.MessageWindowChatMemory
import dev.langchain4j.service.MemoryId
import dev.langchain4j.service.SystemMessage
import dev.langchain4j.service.UserMessage
import dev.langchain4j.service.spring.AiService
import org.springframework.boot.autoconfigure.SpringBootApplication
import org.springframework.boot.runApplication
import org.springframework.context.annotation.Bean
import org.springframework.http.MediaType
import org.springframework.stereotype.Component
import org.springframework.web.bind.annotation.GetMapping
import org.springframework.web.bind.annotation.RequestParam
import org.springframework.web.bind.annotation.RestController
import reactor.core.publisher.Flux
import reactor.core.scheduler.Schedulers

@SpringBootApplication
class Desk {
    /** Each conversation keeps its last twenty messages here; the raw model keeps nothing. */
    @Bean
    fun memory() = ChatMemoryProvider { id -> MessageWindowChatMemory.builder().id(id).maxMessages(20).build() }
}

@Component
class Weather {
    @Tool("Weather of a city.")
    fun weather(@P("city") city: String): String = "오늘 맑음"
}

@AiService
interface Assistant {
    @SystemMessage("You answer briefly.")
    fun ask(@MemoryId conversation: String, @UserMessage question: String): String

    @SystemMessage("You answer briefly.")
    fun stream(@MemoryId conversation: String, @UserMessage question: String): Flux<String>
}

@RestController
class Questions(private val assistant: Assistant) {
    @GetMapping("/ask")
    fun ask(@RequestParam conversation: String, @RequestParam question: String): Flux<String> =
        Flux.defer { Flux.just(assistant.ask(conversation, question)) }
            .subscribeOn(Schedulers.boundedElastic()) // the call waits, which WebFlux's own threads must not

    @GetMapping("/stream", produces = [MediaType.TEXT_EVENT_STREAM_VALUE])
    fun stream(@RequestParam conversation: String, @RequestParam question: String): Flux<String> =
        assistant.stream(conversation, question)
}

fun main() {
    runApplication<Desk>()
}
