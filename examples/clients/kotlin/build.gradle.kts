plugins {
    kotlin("jvm") version "2.2.21"
    kotlin("plugin.spring") version "2.2.21"
    id("org.springframework.boot") version "3.5.8"
    id("io.spring.dependency-management") version "1.1.7"
}

repositories { mavenCentral() }

kotlin {
    jvmToolchain(17)
    compilerOptions { javaParameters = true } // LangChain4j names the parameters of tools by them
}

dependencies {
    implementation(platform("dev.langchain4j:langchain4j-bom:1.11.0"))
    implementation("dev.langchain4j:langchain4j-spring-boot-starter")
    implementation("dev.langchain4j:langchain4j-open-ai-spring-boot-starter")
    implementation("dev.langchain4j:langchain4j-reactor")
    implementation("org.springframework.boot:spring-boot-starter-webflux")
    implementation("org.jetbrains.kotlin:kotlin-reflect")
}
